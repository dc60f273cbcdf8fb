"""End-to-end test of studies/alignment_study.py on little text.

alignment_study_test.py BIN_DIR [unittest arguments]
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "studies/alignment_study.py"
SMALL = ("--corpus 300 --counted 700 --pretraining-epochs 1 --rows 150 --unlabelled 30 --seeds 1 "
         "--epochs 1").split()


class AlignmentStudy(unittest.TestCase):
    def test_the_alignment_study_trains_four_starts_that_differ_in_weights_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, SCRIPT, folder, "--bin", BIN, *SMALL]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            out = pathlib.Path(folder)
            summary = json.loads((out / "summary.json").read_text())
            self.assertEqual([run["start"] for run in summary["runs"]],
                             ["random", "shuffled", "aligned", "oracle"])
            first = {run["start"]: run["epochs"][0]["loss_mlm"] for run in summary["runs"]}
            self.assertEqual(len(set(first.values())), 4)
            counts = {name: json.loads((out / f"{name}.json").read_text())
                      for name in ("aligned", "shuffled")}
            self.assertEqual(sorted(counts["aligned"].values()), sorted(counts["shuffled"].values()))
            self.assertNotEqual(counts["aligned"], counts["shuffled"])
            self.assertEqual(len((out / "train.tsv").read_text().splitlines()), 180)
            self.assertIn(f"| aligned | {first['aligned']:.3f} | 0.000 |", (out / "table.md").read_text())
            self.assertIn("oracle-1", (out / "curves.html").read_text())
            again = subprocess.run(command, capture_output=True, text=True)  # resumes
            self.assertEqual(again.stdout, done.stdout)


if __name__ == "__main__":
    unittest.main()
