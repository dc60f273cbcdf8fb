"""A run that is killed, or loses its power, at any call of fsync, rename, unlink or remove, continues to the
same end. Files with a flipped bit are refused.

survive_test.py BIN_DIR [unittest arguments]

SURVIVE=all visits every call of a run of 20 epochs, more than 1,000, and every byte, instead of some. Each
epoch then continues at the end of the one before, so that a call costs an epoch and not a run.
TMPDIR=/dev/shm is faster.
"""
import json
import os
import pathlib
import shutil
import subprocess
import unittest

from tiny_run import BIN, TinyRun, pairs

ALL = os.environ.get("SURVIVE") == "all"
CRASH = pathlib.Path(__file__).with_name("crash.c")
EPOCHS = range(1, 21) if ALL else (3,)  # train.epochs of each run, which continues the one before
OPTIONS = ("--train.batch=4", "--train.lr=1e-2", "--train.ema=0.9", "--data.validation_every=4",
           "--model.hidden=16", "--model.intermediate=16", "--model.heads=1", "--run.threads=1",
           "--run.log_every=1", "--run.keep_best=2", "--run.csv=true",
           f"--run.checkpoint_steps={1 if ALL else 5}")
LEAST = 1000 if ALL else 6  # crashes


class Survive(TinyRun):
    def library(self):
        library = self.dir / "crash.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-o", library, CRASH, "-ldl"], check=True)
        return library

    def crash(self, library, at, epochs, **more):
        """Trains until call `at`; returns whether it was killed there."""
        before = os.environ.get("LD_PRELOAD", "")
        environment = {**os.environ, "LD_PRELOAD": f"{before} {library}".strip(), "CRASH_AT": str(at),
                       "CRASH_ROOT": str(self.run_dir.resolve()), **more}
        command = [BIN / "train", "--config", self.ini, *OPTIONS, f"--train.epochs={epochs}"]
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

    def ends_alike(self, epochs, expected, after):
        self.train(*OPTIONS, f"--train.epochs={epochs}")
        results = self.results()
        self.assertEqual(list(results), list(expected[0]), after)
        for name, bytes in results.items():
            self.assertEqual(bytes, expected[0][name], f"{name} {after}")
        self.assertEqual(self.records(), expected[1], after)
        for table in ("steps.csv", "epochs.csv"):
            self.assertEqual(len((self.run_dir / table).read_text().splitlines()),
                             1 + sum(kind == table[:-5] for kind, *_ in expected[1]), table)

    def crashes(self, some, before, after):
        """Crashes at calls of each run, `some` apart, and compares the ends. before() returns variables for
        crash.c, and after() changes the folder into what is left. Returns the number of crashes."""
        library, saved, crashes = self.library(), self.dir / "saved", 0
        (self.dir / "train.tsv").write_text(pairs(24, True, 1))
        (self.dir / "test.tsv").write_text(pairs(4, False, 2))

        def restore():
            shutil.rmtree(self.run_dir, ignore_errors=True)
            if saved.exists():  # not before the first run
                shutil.copytree(saved, self.run_dir)

        for epochs in EPOCHS:
            restore()
            self.train(*OPTIONS, f"--train.epochs={epochs}")
            expected = self.results(), self.records()
            end = self.dir / "end"
            shutil.copytree(self.run_dir, end)
            at = 1
            while True:
                restore()
                if not self.crash(library, at, epochs, **before()):
                    break
                where = f"after call {at} of epoch {epochs}"
                after(where)
                self.ends_alike(epochs, expected, where)
                at, crashes = at + (1 if ALL else some), crashes + 1
            shutil.rmtree(saved, ignore_errors=True)
            end.rename(saved)
        self.assertNotIn("epoch-0001.npz", expected[0])  # one was removed
        shutil.rmtree(self.run_dir)
        self.ends_alike(EPOCHS[-1], expected, "without an end between")
        return crashes

    @unittest.skipUnless(shutil.which("cc"), "needs a C compiler")
    def test_a_kill_at_any_change_of_the_disk(self):
        crashes = self.crashes(7, dict, lambda where: None)
        self.assertGreaterEqual(crashes, LEAST)
        print(f"{crashes} kills")

    @unittest.skipUnless(shutil.which("cc"), "needs a C compiler")
    def test_a_power_cut_at_any_change_of_the_disk(self):
        disk = self.dir / "disk"

        def before():  # all that is there is on the disk
            shutil.rmtree(disk, ignore_errors=True)
            disk.mkdir()
            if self.run_dir.exists():
                shutil.copytree(self.run_dir, disk / "run")
            for path in self.run_dir.rglob("*"):
                if path.is_file():
                    shutil.copy(path, disk / f"inode-{path.stat().st_ino}")
            return {"CRASH_DISK": str(disk)}

        def after(where):  # the machine starts again with what is on the disk
            shutil.rmtree(self.run_dir)
            self.run_dir.mkdir(parents=True)
            if (disk / "run").exists():
                shutil.copytree(disk / "run", self.run_dir, dirs_exist_ok=True)
            checkpoints = [int(path.stem) for path in self.run_dir.glob("checkpoints/0*[0-9].npz")]
            if checkpoints:
                newest = max(checkpoints)
                logged = [step for kind, _, step, _ in self.records() if kind == "step"]
                self.assertEqual(logged[:newest], list(range(1, newest + 1)), where)

        crashes = self.crashes(6, before, after)
        self.assertGreaterEqual(crashes, LEAST)
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
