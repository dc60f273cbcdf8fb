"""Demo data: format, sizes, reproducibility, and that counting common ids does not solve the task.

make_demo_data_test.py SCRIPTS_DIR [unittest arguments]
"""
import collections
import hashlib
import pathlib
import shutil
import re
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(sys.argv.pop(1)).resolve() / "make_demo_data"
# Digests of --rows=400 --test=60. Demo runs on different machines are comparable only while these are equal.
KNOWN = {"test.tsv": "fdebe05422b1256f", "test_labels.csv": "7c22c5cc96a4a02a",
         "train.tsv": "c0a7aea1d721eec1"}


def overlap_auc(rows):
    """AUC of Jaccard overlap, pair by pair, ties count half; independent of the script's algorithm."""
    by_label = collections.defaultdict(collections.Counter)
    for a, b, label in rows:
        by_label[label][len(set(a) & set(b)) / len(set(a) | set(b))] += 1
    wins = total = 0.0
    for x, n in by_label[1].items():
        for y, m in by_label[0].items():
            wins += n * m * ((x > y) + (x == y) / 2)
            total += n * m
    return wins / total


class DemoData(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)

    def tearDown(self):
        self.temporary.cleanup()

    def make(self, name, *args, script=SCRIPT):
        folder = self.folder / name
        done = subprocess.run([sys.executable, script, folder, *args], capture_output=True, text=True,
                              timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return folder, done.stdout

    def rows(self, path):
        rows = []
        for line in path.read_text().splitlines():
            self.assertRegex(line, r"^\d+( \d+)*\t\d+( \d+)*(\t[01])?$")
            a, b, *label = line.split("\t")
            rows.append((a.split(), b.split(), *map(int, label)))
        return rows

    def sha256(self, folder):
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest()[:16] for p in sorted(folder.iterdir())}

    def test_the_demo_as_it_is_shipped(self):
        folder, printed = self.make("data")
        train, test = self.rows(folder / "train.tsv"), self.rows(folder / "test.tsv")
        labels = (folder / "test_labels.csv").read_text().splitlines()
        self.assertEqual((len(train), len(test), len(labels)), (14000, 2000, 2000))
        self.assertEqual({len(r) for r in train}, {3})
        self.assertEqual({len(r) for r in test}, {2})
        everything = train + [(a, b, int(label)) for (a, b), label in zip(test, labels)]

        counts = collections.Counter(i for a, b, _ in everything for i in a + b)
        words = sum(counts.values())
        self.assertTrue(800 <= len(counts) <= 1700, len(counts))
        self.assertTrue(12 < words / 16000 < 14, words / 16000)
        self.assertLess(max(len(a) + len(b) for a, b, _ in everything), 33)  # nothing to truncate
        rare = sum(n for n in counts.values() if n < 5)
        self.assertTrue(0.003 < rare / words < 0.02, rare / words)  # [UNK] occurs

        matches = sum(label for _, _, label in everything) / 16000
        self.assertTrue(0.35 < matches < 0.45, matches)
        auc = overlap_auc(everything)
        self.assertLess(auc, 0.65)
        printed = float(re.search(r"Jaccard overlap: ([0-9.]+)", printed)[1])
        self.assertAlmostEqual(auc, printed, delta=0.01)  # the script excludes label noise
        said = collections.Counter(tuple(s) for a, b, _ in everything for s in (a, b))
        self.assertLess(len(said), 0.9 * 32000)  # requests recur

    def test_one_class_has_no_auc(self):
        self.assertNotIn("AUC", self.make("data", "--rows=1", "--test=0")[1])

    def test_labels_are_wrong_as_often_as_said(self):
        """The same draws without noise: labels that differ are the noise."""
        source = SCRIPT.read_text()
        self.assertEqual(source.count("LABEL_NOISE = 0.06, 0.3, 0.01\n"), 1)
        clean = self.folder / "clean.py"
        shutil.copy(SCRIPT.parent / "demo_language.py", self.folder)
        clean.write_text(source.replace("LABEL_NOISE = 0.06, 0.3, 0.01\n", "LABEL_NOISE = 0.06, 0.3, 0\n"))
        noisy = self.rows(self.make("noisy", "--rows=8000", "--test=0")[0] / "train.tsv")
        clean = self.rows(self.make("clean", "--rows=8000", "--test=0", script=clean)[0] / "train.tsv")
        self.assertEqual([r[:2] for r in noisy], [r[:2] for r in clean])
        flipped = sum(n[2] != c[2] for n, c in zip(noisy, clean))
        self.assertTrue(45 <= flipped <= 120, flipped)  # 80 ± 9 (1 sigma), 4 sigma

    def test_equal_arguments_give_equal_bytes_on_any_machine(self):
        small = ("--rows=400", "--test=60")
        first = self.sha256(self.make("one", *small)[0])
        self.assertEqual(first, self.sha256(self.make("two", *small)[0]))
        self.assertEqual(first, KNOWN)
        other = self.sha256(self.make("three", *small, "--seed=2")[0])
        self.assertTrue(all(first[name] != other[name] for name in first))

    def test_sizes_and_refusals(self):
        folder, _ = self.make("sizes", "--rows=30", "--test=0")
        self.assertEqual(len(self.rows(folder / "train.tsv")), 30)
        self.assertEqual((folder / "test.tsv").read_text(), "")
        done = subprocess.run([sys.executable, SCRIPT, folder, "--rows=0"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--rows", done.stderr)


if __name__ == "__main__":
    unittest.main()
