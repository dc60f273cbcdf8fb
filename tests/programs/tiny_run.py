"""What tests of a run share: small pairs, an INI for them, calls of programs in BIN, the first argument."""
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden/tiny"
LABELLED, UNLABELLED = 120, 30
ON_GPU = "CUDA" in subprocess.run([BIN / "train", "--version"], capture_output=True, text=True).stdout


def pairs(n, labels, seed, low=100):
    """Pairs over 40 ids; label 1 means equal first ids, a learnable rule."""
    rng, rows = random.Random(seed), []
    for _ in range(n):
        a, b = ([rng.randrange(low, low + 40) for _ in range(rng.randrange(1, 7))] for _ in "ab")
        label = rng.randrange(2)
        if label:
            b[0] = a[0]
        rows.append("\t".join([" ".join(map(str, a)), " ".join(map(str, b)),
                               *([str(label)] if labels else [])]))
    return "\n".join(rows) + "\n"


def call(name, *args, **options):
    """Runs a program of BIN and captures what it prints; any exit code will do."""
    return subprocess.run([BIN / name, *map(str, args)], capture_output=True, text=True, **options)


class TinyRun(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)
        os.environ["XDG_CACHE_HOME"] = str(self.dir / "cache")  # leaves the user's cache untouched
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

    def program(self, name, *args, code=0, warning="", **options):
        done = call(name, *args, timeout=300, **options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        if not code and not warning:
            self.assertEqual(done.stderr, "")
        else:
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)  # exactly one message
            self.assertIn(warning, done.stderr)
        return done

    def train(self, *args, **options):
        return self.program("train", "--config", self.ini, *args, **options)

    def refuses(self, message, *args, code=1, **options):
        stderr = self.train(*args, code=code, **options).stderr
        self.assertIn(message, stderr)
        return stderr

    def start(self, run, *args):
        command = [BIN / "train", "--config", self.ini, f"--run.directory={run}", *args]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_for_steps(self, run, process, steps):
        """Waits until the run has logged `steps` step records."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            path = run / "metrics.jsonl"
            if path.exists() and sum('"step"' in line for line in path.read_text().splitlines()) >= steps:
                return
            time.sleep(0.005)
        self.fail("the run did not get there: " + str(process.communicate()))
