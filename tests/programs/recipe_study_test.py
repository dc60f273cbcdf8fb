"""End-to-end test of studies/recipe_study.py on few rows.

recipe_study_test.py BIN_DIR [unittest arguments]
"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "studies/recipe_study.py"
ROWS, HOLDOUT = 100, 50


def pairs(n):
    rng = random.Random(2)
    sentence = lambda: " ".join(str(rng.randrange(100, 130)) for _ in range(rng.randrange(2, 6)))
    return [f"{sentence()}\t{sentence()}\t{rng.randrange(2)}" for _ in range(n)]


class RecipeStudy(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)
        self.rows = pairs(ROWS + HOLDOUT)
        self.rows.insert(3, "100\t101")  # unlabelled: neither counted nor used
        (self.dir / "pairs.tsv").write_text("\n".join(self.rows) + "\n")

    def tearDown(self):
        self.folder.cleanup()

    def study(self, *arguments, code=0, holdout=HOLDOUT):
        command = [sys.executable, SCRIPT, self.dir / "out", "--train", self.dir / "pairs.tsv", "--bin", BIN,
                   "--epochs", 1, "--rows", ROWS, "--holdout", holdout, *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def test_options_are_compared_on_rows_that_no_run_saw(self):
        out, runs = self.dir / "out", ("base", "base-1", "ema")
        printed = self.study("--only", *runs).stdout
        labelled = [row for row in self.rows if row.count("\t") == 2]
        self.assertEqual((out / "train.tsv").read_text().splitlines(), labelled[:ROWS])
        self.assertEqual((out / "holdout.tsv").read_text().splitlines(), labelled[ROWS:])

        results = json.loads((out / "results.json").read_text())
        self.assertEqual([r["name"] for r in results], [*runs, "swap"])
        for name, (run, *options) in {**{run: [run] for run in runs},
                                      "swap": ["base", "--predict.swap=true"]}.items():
            command = [BIN / "eval", "--run", out / run, "--input", out / "holdout.tsv", "--json", *options]
            measured = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            self.assertEqual(next(r["holdout"] for r in results if r["name"] == name), measured)
        self.assertEqual(len({r["holdout"]["log_loss"]["value"] for r in results}), 4)
        base, other, ema, _ = (r["holdout"]["auc"]["value"] for r in results)
        mean = (base + other) / 2
        self.assertIn("\nema = 0.999\n", (out / "ema/config.ini").read_text())
        self.assertIn("\nema = 0\n", (out / "base/config.ini").read_text())

        table = (out / "table.md").read_text()
        self.assertTrue(printed.endswith(table + "\n"))
        rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:])
        cells = {row[0]: row for row in rows}
        self.assertEqual(list(cells), [*runs, "swap"])
        self.assertEqual((cells["base"][3], cells["base"][5:]),
                         (f"{base:.4f}", [f"{base - mean:+.4f}", "1.00"]))
        self.assertEqual((cells["ema"][3], cells["ema"][5]), (f"{ema:.4f}", f"{ema - mean:+.4f}"))
        self.assertEqual((cells["swap"][2], cells["swap"][6]), ("", ""))  # predicts only, no training

        models = [(out / run / "best.npz").stat().st_mtime_ns for run in runs]
        self.assertEqual(self.study("--only", *runs).stdout, printed)  # resumes; nothing is left to train
        self.assertEqual([(out / run / "best.npz").stat().st_mtime_ns for run in runs], models)

    def test_two_stages_are_two_runs(self):
        self.study("--only", "two-stage")
        settings = [(self.dir / "out" / run / "config.ini").read_text()
                    for run in ("two-stage-pretrain", "two-stage")]
        self.assertIn("\nstage = pretrain\n", settings[0])
        self.assertIn("\nstage = finetune\n", settings[1])
        self.assertIn(f"\nweights = {self.dir}/out/two-stage-pretrain/best.npz\n", settings[1])

    def test_too_few_rows_and_a_run_that_fails_are_named(self):
        self.assertIn(f"pairs.tsv: {ROWS + HOLDOUT} labelled pairs; "
                      f"--rows and --holdout ask for {ROWS + HOLDOUT + 1}",
                      self.study(code=1, holdout=HOLDOUT + 1).stderr)
        (self.dir / "pairs.tsv").write_text("\n".join(["x\ty\t1"] * (ROWS + HOLDOUT)) + "\n")
        self.assertIn("train.tsv: line 1", self.study("--only", "base", code=1).stderr)


if __name__ == "__main__":
    unittest.main()
