"""End-to-end tests of scripts/kfold.

kfold_test.py BIN_DIR [unittest arguments]
"""
import gzip
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts/kfold"
ROWS, TEST = 41, 7


def pairs(n, seed, label):
    rng = random.Random(seed)
    sentence = lambda: " ".join(str(rng.randrange(100, 130)) for _ in range(rng.randrange(2, 6)))
    return "".join(f"{sentence()}\t{sentence()}{label(i, rng)}\n" for i in range(n))


class KFold(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)
        # Every seventh row is unlabelled.
        label = lambda i, rng: "" if i % 7 == 3 else f"\t{rng.randrange(2)}"
        (self.dir / "train.tsv").write_text(pairs(ROWS, 1, label))
        (self.dir / "test.tsv").write_text(pairs(TEST, 2, lambda i, rng: ""))
        (self.dir / "tiny.ini").write_text(
            "[data]\ntrain = train.tsv\ntest = test.tsv\nmin_count = 1\n[model]\nlayers = 1\nhidden = 32\n"
            "heads = 2\nmax_positions = 40\n"
            "[train]\nepochs = 1\nbatch = 16\nlr = 1e-3\nprecision = fp32\n"
        )

    def tearDown(self):
        self.folder.cleanup()

    def kfold(self, *arguments, code=0):
        command = [sys.executable, SCRIPT, "--config", self.dir / "tiny.ini", "--bin", BIN,
                   "--output", self.dir / "out", *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def predict(self, runs, rows):
        (self.dir / "rows.tsv").write_bytes("".join(row + "\n" for row in rows).encode())
        models = [argument for run in runs for argument in ("--run", str(run))]
        command = [str(BIN / "predict"), *models, "--input", str(self.dir / "rows.tsv"), "--output", "-"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    def test_folds_scores_and_soft_labels(self):
        out = self.kfold("--folds", 3, "--soft", 0.25, "--train.lr=2e-3").stdout
        folds = [self.dir / f"out/fold-{i}" for i in range(3)]
        self.assertEqual(len(re.findall(r"^[012] +0\.\d{4}$", out, re.M)), 3)
        self.assertRegex(out, r"mean   0\.\d{4}, standard deviation 0\.\d{4}")
        self.assertEqual(re.findall(r"\d+ scores.* written to .*", out),
                         [f"{TEST} scores of 3 models written to {self.dir}/out/scores.csv"])
        for i, fold in enumerate(folds):
            self.assertIn(f"\nfold = {i}\n", (fold / "config.ini").read_text())
            self.assertIn("\nlr = 0.002\n", (fold / "config.ini").read_text())
        rows = (self.dir / "train.tsv").read_text().splitlines()
        scores = (self.dir / "out/out_of_fold.csv").read_text().split("\n")[:-1]
        soft = (self.dir / "out/soft.tsv").read_text().splitlines()
        self.assertEqual((len(scores), len(soft)), (ROWS, ROWS))
        for i, row in enumerate(rows):
            columns = row.split("\t")
            if len(columns) == 2:
                self.assertEqual((scores[i], soft[i]), ("", row))
                continue
            # Scored by the model that did not train on this row's label.
            self.assertAlmostEqual(float(scores[i]), float(self.predict([folds[i % 3]], [row])[0]), places=6)
            a, b, label = soft[i].split("\t")
            self.assertEqual([a, b], columns[:2])
            self.assertAlmostEqual(float(label), 0.75 * float(columns[2]) + 0.25 * float(scores[i]), places=6)
        scored = [(float(s), row.split("\t")[2] == "1") for s, row in zip(scores, rows) if s]
        wins = [(p > n) + (p == n) / 2 for p, positive in scored if positive
                for n, other in scored if not other]
        self.assertIn(f"\nall    {sum(wins) / len(wins):.4f}, the {len(scored)} out-of-fold scores "
                      "together\n", out)
        self.assertGreater(abs(float(scores[0]) - float(self.predict([folds[1]], [rows[0]])[0])), 1e-4)
        test = (self.dir / "test.tsv").read_text().splitlines()
        self.assertEqual((self.dir / "out/scores.csv").read_text().splitlines(), self.predict(folds, test))
        again = self.kfold("--folds", 3, "--train.lr=2e-3").stdout
        self.assertEqual(again.count("this run is finished"), 3)

    def test_folds_train_side_by_side_on_gpus_of_their_own(self):
        """Each fold waits until two have started, on two GPUs."""
        programs = self.dir / "bin"
        programs.mkdir()
        (programs / "predict").symlink_to(BIN / "predict")
        (programs / "train").write_text(
            "#!/bin/sh\n"
            f'[ -z "$CUDA_VISIBLE_DEVICES" ] || echo "$CUDA_VISIBLE_DEVICES" >> {self.dir}/started\n'
            f'while [ $(wc -l < {self.dir}/started) -lt 2 ]; do sleep 0.05; done\n'
            f'exec {BIN}/train "$@"\n')
        (programs / "train").chmod(0o755)
        out = self.kfold("--folds", 3, "--devices", "3,GPU-5", "--bin", programs).stdout
        self.assertIn(f"fold 0 on GPU 3: {self.dir}/out/fold-0.log\n"
                      f"fold 1 on GPU GPU-5: {self.dir}/out/fold-1.log\n", out)
        used = (self.dir / "started").read_text().split()
        self.assertEqual((len(used), set(used)), (3, {"3", "GPU-5"}))
        self.assertIn("written", (self.dir / "out/fold-2.log").read_text())
        alone = self.dir / "alone"
        (self.dir / "out").rename(alone)
        self.kfold("--folds", 3)
        for file in ("out_of_fold.csv", "scores.csv", "fold-2/best.npz"):
            self.assertEqual((alone / file).read_bytes(), (self.dir / "out" / file).read_bytes())

    def test_a_fold_that_fails_ends_those_beside_it(self):
        programs = self.dir / "bin"
        programs.mkdir()
        (programs / "train").write_text(
            "#!/bin/sh\n"
            f'[ "$CUDA_VISIBLE_DEVICES" = 0 ] && exec {BIN}/train "$@" --train.lr=-1\n'
            f"trap 'echo stopped > {self.dir}/stopped; exit 130' TERM\nwhile true; do sleep 0.05; done\n")
        (programs / "train").chmod(0o755)
        done = self.kfold("--folds", 3, "--devices", "1,0", "--bin", programs, code=2)
        self.assertIn("train.lr", done.stderr)
        self.assertEqual((self.dir / "stopped").read_text(), "stopped\n")

    def test_folds_of_other_data_are_refused(self):
        """Rows in another order: by i modulo K, models would score rows whose labels they have seen."""
        self.kfold("--folds", 2)
        train, scores = self.dir / "train.tsv", self.dir / "out/out_of_fold.csv"
        before, rows = scores.read_text(), train.read_text()
        train.write_text("\n".join(reversed(rows.splitlines())) + "\n")
        stderr = self.kfold("--folds", 2, code=1).stderr
        self.assertIn(f"{train} or {self.dir}/test.tsv is not what this run was started with; "
                      "set run.directory to another folder", stderr)
        self.assertEqual(scores.read_text(), before)
        train.write_text(rows)
        for checkpoint in (self.dir / "out").rglob("checkpoints/*"):
            checkpoint.unlink()
        self.assertEqual(self.kfold("--folds", 2).stdout.count("this run is finished"), 2)
        self.assertEqual(scores.read_text(), before)
        # The file is changed when fold 0 is trained already.
        shutil.rmtree(self.dir / "out")
        train_of_fold_1 = self.dir / "bin/train"
        train_of_fold_1.parent.mkdir()
        (self.dir / "other.tsv").write_text("\n".join(reversed(rows.splitlines())) + "\n")
        train_of_fold_1.write_text(f"""#!/bin/sh
case "$*" in *--data.fold=1*) cp {self.dir}/other.tsv {train};; esac
exec {BIN}/train "$@"
""")
        train_of_fold_1.chmod(0o755)
        (self.dir / "bin/predict").symlink_to(BIN / "predict")
        stderr = self.kfold("--folds", 2, "--bin", train_of_fold_1.parent, code=1).stderr
        self.assertRegex(stderr, r"out/fold-0/checkpoints/\d+\.npz: .*train\.tsv or .*test\.tsv is not what "
                                 r"this run was started with")
        self.assertFalse(scores.exists())

    def test_a_compressed_file_has_the_same_rows(self):
        self.kfold("--folds", 2, "--soft", 0.5)
        plain = [(self.dir / "out" / name).read_bytes() for name in ("out_of_fold.csv", "soft.tsv")]
        with_mark = b"\xef\xbb\xbf" + (self.dir / "train.tsv").read_bytes()
        (self.dir / "packed.gz").write_bytes(gzip.compress(with_mark))
        shutil.rmtree(self.dir / "out")
        self.kfold("--folds", 2, "--soft", 0.5, f"--data.train={self.dir}/packed.gz")
        self.assertEqual([(self.dir / "out" / name).read_bytes() for name in ("out_of_fold.csv", "soft.tsv")],
                         plain)

    def test_clear_text_may_hold_what_python_takes_for_line_ends(self):
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        (self.dir / "vocab.txt").write_text("\n".join([*special, *"abcdefgh"]) + "\n")
        rng = random.Random(3)
        spaces = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", " "]
        sentence = lambda: rng.choice(spaces).join(rng.choices("abcdefgh", k=4))
        rows = [f"{sentence()}\t{sentence()}" + (f"\t{i % 2}" if i % 5 else "") for i in range(24)]
        text = "\ufeff" + "".join(row + "\r\n" for row in rows)
        (self.dir / "train.tsv").write_bytes(gzip.compress(text.encode()))
        (self.dir / "text.ini").write_text("[data]\ntext = true\nvocab = vocab.txt\n"
                                           + (self.dir / "tiny.ini").read_text()[len("[data]\n"):])
        options = ["--config", self.dir / "text.ini", "--data.test=", "--model.initializer_range=0.5"]
        self.kfold("--folds", 2, "--soft", 0.5, *options)
        scores = (self.dir / "out/out_of_fold.csv").read_text().split("\n")[:-1]
        soft = (self.dir / "out/soft.tsv").read_bytes().decode().split("\n")[:-1]
        self.assertEqual((len(scores), len(soft)), (len(rows), len(rows)))
        for i, row in enumerate(rows):
            self.assertEqual(soft[i].split("\t")[:2], row.split("\t")[:2])
            self.assertEqual(scores[i] != "", row.count("\t") == 2)
            if scores[i]:
                score = self.predict([self.dir / f"out/fold-{i % 2}"], [row])[0]
                self.assertAlmostEqual(float(scores[i]), float(score), places=6)
        self.assertGreater(len(set(scores)), 10)

    def test_programs_are_of_the_gpu_where_there_is_one(self):
        (self.dir / "scripts").mkdir()
        script = shutil.copy(SCRIPT, self.dir / "scripts/kfold")
        shutil.copy(SCRIPT.parent / "demo_language.py", self.dir / "scripts")

        def program(path, text):
            path = self.dir / path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
            return path

        def kfold():
            command = [sys.executable, script, "--config", "x.ini", "--output", self.dir / "out"]
            done = subprocess.run(command, capture_output=True, text=True, env={"PATH": f"{self.dir}/path"})
            return (done.stdout + done.stderr).strip()

        self.assertEqual(kfold(), f"error: no train in {self.dir}/build/cpu/bin; "
                                  "scripts/build makes it, --bin names another folder")
        smi = program("path/nvidia-smi", "echo 'GPU 0: one'")
        self.assertEqual(kfold(), f"error: no train in {self.dir}/build/cuda/bin for a GPU, "
                                  f"nor in {self.dir}/build/cpu/bin; "
                         "scripts/build makes them, --bin names another folder")
        program("build/cpu/bin/train", "echo cpu; exit 3")
        self.assertEqual(kfold(), "cpu")
        program("build/cuda/bin/train", "echo cuda; exit 3")
        self.assertEqual(kfold(), "cuda")
        program("build/cuda/bin/train", "kill -9 $$")
        self.assertEqual(kfold(), f"error: {self.dir}/build/cuda/bin/train: ended by signal 9")
        program("path/nvidia-smi", "echo no devices; exit 6")
        self.assertEqual(kfold(), "cpu")
        smi.unlink()
        self.assertEqual(kfold(), "cpu")

    def test_stopped_it_goes_on_with_the_same_run(self):
        """Signals all processes (as Ctrl-C in a terminal), then kfold alone; train can still save."""
        options = ("--folds", "2", "--train.epochs=40", "--run.log_every=1")
        command = [sys.executable, SCRIPT, "--config", self.dir / "tiny.ini", "--bin", BIN,
                   "--output", self.dir / "out", *options]
        log = self.dir / "out/fold-0/metrics.jsonl"
        steps = lambda: log.read_text().count('"step"') if log.exists() else 0
        for to_all in (True, False):
            enough = steps() + 5  # by then the signal handlers are installed
            process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True, start_new_session=True)
            deadline = time.monotonic() + 120
            while steps() < enough:
                self.assertTrue(time.monotonic() < deadline and process.poll() is None)
                time.sleep(0.005)
            os.killpg(process.pid, signal.SIGINT) if to_all else process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
            self.assertEqual((process.returncode, err), (130, ""), out)
            self.assertIn("the same command resumes it", out)
            self.assertFalse((self.dir / "out/fold-1").exists())
        self.assertIn("fold-0: resuming from its last checkpoint", self.kfold(*options).stdout)

    def test_what_is_wrong_is_said(self):
        self.assertIn("--folds 1: at least 2", self.kfold("--folds", 1, code=1).stderr)
        for share in (0.6, -0.1):
            self.assertIn(f"--soft {share}: a share in [0, 0.5]; above",
                          self.kfold(f"--soft={share}", code=1).stderr)
        self.assertIn("--data.fold=2: --folds and --output say that",
                      self.kfold("--data.fold=2", code=1).stderr)
        self.assertIn("no train in it", self.kfold("--bin", self.dir, code=1).stderr)
        self.assertIn("did you mean '--train.lr'", self.kfold("--train.lrr=1", code=2).stderr)


if __name__ == "__main__":
    unittest.main()
