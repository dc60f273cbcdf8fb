"""A run that is killed, or loses its power, at any call of fsync, rename or unlink, goes on to the same end. Files with
a flipped bit are refused.

survive_test.py BIN_DIR [unittest arguments]

SURVIVE=all visits every call of a run with more checkpoints, and every byte, instead of some.
"""
import json
import os
import pathlib
import shutil
import subprocess
import unittest

from tiny_run import BIN, TinyRun

ALL = os.environ.get("SURVIVE") == "all"
CRASH = pathlib.Path(__file__).with_name("crash.c")
OPTIONS = (*(("--run.checkpoint_steps=1", "--train.epochs=4") if ALL else ("--run.checkpoint_steps=5",)),
           "--run.log_every=1", "--run.keep_best=2", "--run.csv=true", "--train.ema=0.9")


class Survive(TinyRun):
    def library(self):
        library = self.dir / "crash.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-o", library, CRASH, "-ldl"], check=True)
        return library

    def crash(self, library, at, **more):
        """Trains until call `at`; returns whether it was killed there."""
        before = os.environ.get("LD_PRELOAD", "")
        environment = {**os.environ, "LD_PRELOAD": f"{before} {library}".strip(), "CRASH_AT": str(at),
                       "CRASH_ROOT": str(self.run_dir.resolve()), **more}
        shutil.rmtree(self.run_dir, ignore_errors=True)
        command = [BIN / "train", "--config", self.ini, *OPTIONS]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        self.assertIn(done.returncode, (0, -9), done.stderr)
        return done.returncode == -9

    def results(self):
        models = sorted((self.run_dir / "models").iterdir())
        files = [self.run_dir / "best.npz", self.run_dir / "scores.csv", *models]
        return {path.name: path.read_bytes() for path in files}

    def records(self):
        lines = [json.loads(line) for line in (self.run_dir / "metrics.jsonl").read_text().splitlines()]
        return [(r["kind"], r["epoch"], r.get("step"), r["loss"]) for r in lines]

    def ends_alike(self, at, expected):
        self.train(*OPTIONS)
        for name, bytes in self.results().items():
            self.assertEqual(bytes, expected[0][name], f"{name} after call {at}")
        self.assertEqual(self.records(), expected[1], f"after call {at}")
        for table in ("steps.csv", "epochs.csv"):
            self.assertEqual(len((self.run_dir / table).read_text().splitlines()),
                             1 + sum(kind == table[:-5] for kind, *_ in expected[1]), table)

    def crashes(self, some, after):
        """Crashes at calls of a run, `some` apart, and compares the ends. Returns the number of crashes."""
        library = self.library()
        self.train(*OPTIONS)
        expected = self.results(), self.records()
        at, crashes = 1, 0
        while self.crash(library, at, **after(at, False)):
            after(at, True)
            self.ends_alike(at, expected)
            at, crashes = at + (1 if ALL else some), crashes + 1
        return crashes

    @unittest.skipUnless(shutil.which("cc"), "needs a C compiler")
    def test_a_kill_at_any_change_of_the_disk(self):
        crashes = self.crashes(7, lambda at, crashed: {})
        self.assertGreater(crashes, 5)
        print(f"{crashes} kills")

    @unittest.skipUnless(shutil.which("cc"), "needs a C compiler")
    def test_a_power_cut_at_any_change_of_the_disk(self):
        disk = self.dir / "disk"

        def after(at, crashed):
            if crashed:  # the machine starts again with what is on the disk
                shutil.rmtree(self.run_dir)
                if (disk / "run").exists():
                    shutil.copytree(disk / "run", self.run_dir)
                    if self.run_dir.joinpath("checkpoints").exists() and any(self.run_dir.glob("checkpoints/*.npz")):
                        newest = max(int(path.stem) for path in self.run_dir.glob("checkpoints/0*[0-9].npz"))
                        logged = [step for kind, _, step, _ in self.records() if kind == "step"]
                        self.assertEqual(logged[:newest], list(range(1, newest + 1)), f"after call {at}")
                else:
                    self.run_dir.mkdir(parents=True)
            shutil.rmtree(disk, ignore_errors=True)
            disk.mkdir()
            return {"CRASH_DISK": str(disk)}

        crashes = self.crashes(6, after)
        self.assertGreater(crashes, 5)
        print(f"{crashes} power cuts")

    def test_any_flipped_bit_is_found(self):
        self.train("--run.keep_checkpoints=1", "--train.epochs=1")
        export, scores = self.dir / "export", self.dir / "scores.csv"
        self.program("export", "--run", self.run_dir, "--output", export)
        (checkpoint,) = (self.run_dir / "checkpoints").iterdir()
        predict = ("predict", "--input", self.dir / "test.tsv", "--output", scores, "--run")
        resume = ("train", "--config", self.ini, "--run.keep_checkpoints=1", "--train.epochs=2")
        readers = {self.run_dir / "best.npz": (*predict, self.run_dir), checkpoint: resume,
                   export / "model.safetensors": (*predict, export)}
        for file, command in readers.items():
            good = file.read_bytes()
            for place in range(0, len(good), len(good) // 23):
                bad = bytearray(good)
                bad[place] ^= 1 << place % 8
                file.write_bytes(bad)
                self.assertIn(str(file), self.program(*command, code=1).stderr, f"byte {place}")
            file.write_bytes(good)
            if ALL:
                flip = [BIN.parent / "tests/npz_tool", "flip", file]
                print(subprocess.run(flip, check=True, capture_output=True, text=True).stdout)
            self.program(*command)


if __name__ == "__main__":
    unittest.main()
