"""The programs as a user meets them: train and predict on files, their messages and exit codes.

programs_test.py BIN_DIR [unittest arguments]
"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest
import zipfile

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
LABELLED, UNLABELLED = 120, 30


def pairs(n, labels, seed):
    """Pairs over 40 ids; equal first ids mean a match, so that something can be learned."""
    rng, rows = random.Random(seed), []
    for _ in range(n):
        a = [rng.randrange(100, 140) for _ in range(rng.randrange(1, 7))]
        b = [rng.randrange(100, 140) for _ in range(rng.randrange(1, 7))]
        label = rng.randrange(2)
        if label:
            b[0] = a[0]
        row = " ".join(map(str, a)) + "\t" + " ".join(map(str, b))
        rows.append(row + (f"\t{label}" if labels else ""))
    return "\n".join(rows) + "\n"


class Programs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)
        (self.dir / "train.tsv").write_text(pairs(LABELLED, True, 1))
        (self.dir / "test.tsv").write_text(pairs(UNLABELLED, False, 2))
        self.ini = self.dir / "tiny.ini"
        self.ini.write_text(
            "[data]\ntrain = train.tsv\ntest = test.tsv\nmin_count = 1\n"
            "[model]\nlayers = 1\nhidden = 32\nheads = 2\nmax_positions = 40\n"
            "[train]\nepochs = 2\nbatch = 16\nlr = 1e-3\nprecision = fp32\n"
        )
        self.run_dir = self.dir / "runs" / "tiny"

    def tearDown(self):
        self.folder.cleanup()

    def program(self, name, *args, code=0):
        done = subprocess.run([BIN / name, *map(str, args)], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        if code == 0:
            self.assertEqual(done.stderr, "")
        else:
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)  # the one message
        return done

    def train(self, *args, code=0):
        return self.program("train", "--config", self.ini, *args, code=code)

    def refuses(self, message, *args, code=1):
        stderr = self.train(*args, code=code).stderr
        self.assertIn(message, stderr)
        return stderr

    def test_a_run_leaves_model_metrics_scores_and_report(self):
        self.train()
        lines = [json.loads(l) for l in (self.run_dir / "metrics.jsonl").read_text().splitlines()]
        epochs = [l for l in lines if l["kind"] == "epoch"]
        self.assertEqual([e["epoch"] for e in epochs], [1, 2])
        for key in ("loss", "loss_mlm", "loss_cls", "auc", "pairs_per_s"):
            self.assertIsInstance(epochs[0][key], float, key)
        self.assertLess(epochs[1]["loss"], epochs[0]["loss"])
        scores = (self.run_dir / "scores.csv").read_text().splitlines()
        self.assertEqual(len(scores), UNLABELLED)
        for s in scores:
            self.assertTrue(0 < float(s) < 1)
        names = zipfile.ZipFile(self.run_dir / "best.npz").namelist()
        self.assertIn("bert.encoder.layer.0.attention.self.query.weight.npy", names)
        self.assertIn("vocab/cipher_ids.npy", names)
        self.assertEqual(len(names), 3 + 2 + 16 + 5 + 1)
        self.assertIn("</svg>", (self.run_dir / "report.html").read_text())

    def test_predict_repeats_the_scores_of_the_run(self):
        self.train()
        out = self.dir / "again.csv"
        self.program("predict", "--run", self.run_dir, "--input", self.dir / "test.tsv", "--output", out)
        self.assertEqual(out.read_text(), (self.run_dir / "scores.csv").read_text())

    def test_the_same_bits_for_any_number_of_threads(self):
        for precision in ("fp32", "bf16"):
            for threads in (1, 2, 3):
                self.train(f"--run.threads={threads}", f"--train.precision={precision}", f"--run.directory={self.dir}/{threads}{precision}")
            for name in ("best.npz", "scores.csv"):
                first = (self.dir / f"1{precision}" / name).read_bytes()
                self.assertEqual(first, (self.dir / f"2{precision}" / name).read_bytes(), name)
                self.assertEqual(first, (self.dir / f"3{precision}" / name).read_bytes(), name)

    def test_another_seed_gives_another_model(self):
        self.train(f"--run.directory={self.dir}/one", "--train.epochs=1")
        self.train(f"--run.directory={self.dir}/two", "--train.epochs=1", "--train.seed=1")
        self.assertNotEqual((self.dir / "one/best.npz").read_bytes(), (self.dir / "two/best.npz").read_bytes())

    def test_bf16_trains(self):
        self.train("--train.precision=bf16")
        self.assertEqual(len((self.run_dir / "scores.csv").read_text().splitlines()), UNLABELLED)

    def test_a_finished_run_says_so(self):
        self.train()
        before = (self.run_dir / "best.npz").stat().st_mtime_ns
        self.assertIn("finished", self.train().stdout)
        self.assertEqual((self.run_dir / "best.npz").stat().st_mtime_ns, before)

    def test_another_configuration_is_refused_by_key(self):
        self.train()
        self.refuses("train.lr", "--train.lr=1e-4", code=2)

    def test_zero_epochs_write_the_model_at_once(self):
        self.train("--train.epochs=0")
        self.assertTrue((self.run_dir / "best.npz").exists())

    def test_dry_run_writes_nothing(self):
        out = self.train("--dry-run").stdout
        self.assertIn("MiB", out)
        self.assertFalse(self.run_dir.exists())

    def test_help_lists_every_key(self):
        out = self.program("train", "--help").stdout
        for key in ("--data.train", "--model.layers", "--train.lr", "--train.precision", "--run.threads", "--mask.swap"):
            self.assertIn(key, out)

    def test_no_arguments(self):
        self.assertIn("--config", self.program("train", code=2).stderr)

    def test_unknown_key_names_the_nearest(self):
        self.refuses("train.lr", "--train.lrr=1", code=2)
        self.ini.write_text(self.ini.read_text() + "epoch = 3\n")
        self.assertIn("epochs", self.refuses("tiny.ini", code=2))

    def test_missing_files(self):
        self.refuses("absent.tsv", "--data.train=absent.tsv")
        self.assertIn("absent.ini", self.program("train", "--config", "absent.ini", code=2).stderr)

    def test_malformed_row_names_the_line(self):
        (self.dir / "train.tsv").write_text(pairs(3, True, 1) + "1 2\tx 3\t1\n")
        self.refuses("train.tsv: line 4")

    def test_empty_file(self):
        (self.dir / "train.tsv").write_text("")
        self.refuses("train.tsv")

    def test_no_label_at_all(self):
        (self.dir / "train.tsv").write_text(pairs(10, False, 1))
        self.refuses("no row has a label")

    def test_settings_that_cannot_run(self):
        self.refuses("model.heads", "--model.heads=5", code=2)
        self.refuses("max_positions", "--model.max_positions=8", code=2)

    def test_a_device_this_build_has_not(self):
        self.refuses("build", "--run.device=cuda")

    def test_predict_without_a_run(self):
        out = self.program("predict", "--run", self.dir, "--input", self.dir / "test.tsv", "--output", self.dir / "s", code=1)
        self.assertIn("config.ini", out.stderr)


if __name__ == "__main__":
    unittest.main()
