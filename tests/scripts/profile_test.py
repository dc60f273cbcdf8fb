"""scripts/profile with a fake nsys that logs its calls.

profile_test.py SCRIPTS_DIR [unittest arguments]
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(sys.argv.pop(1)).resolve() / "profile"
NSYS = '#!/bin/sh\n{ pwd -P; for word in "$@"; do echo "$word"; done; echo; } >>"$CALLS"\n'


class Profile(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name).resolve()
        self.root, self.path, self.here = self.dir / "a copy", self.dir / "path", self.dir / "here"
        for folder in (self.root / "scripts", self.root / "build/cuda/bin", self.path, self.here):
            folder.mkdir(parents=True)
        shutil.copy(SCRIPT, self.root / "scripts")
        self.train = self.root / "build/cuda/bin/train"
        for program, text in ((self.train, "#!/bin/sh\n"), (self.path / "nsys", NSYS)):
            program.write_text(text)
            program.chmod(0o755)
        (self.path / "dirname").symlink_to(shutil.which("dirname"))  # the only program the script needs

    def tearDown(self):
        self.folder.cleanup()

    def profile(self, *arguments, code=0):
        """Runs the script in self.here; returns nsys's calls (folder, arguments), or stderr if code != 0."""
        calls = self.dir / "calls"
        environment = {"PATH": str(self.path), "CALLS": str(calls)}
        done = subprocess.run(["../a copy/scripts/profile", *arguments], cwd=self.here, env=environment,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        if code:
            self.assertFalse(calls.exists())
            return done.stderr
        self.assertEqual(done.stderr, "")
        found = [call.splitlines() for call in calls.read_text().split("\n\n")[:-1]]
        calls.unlink()
        return found

    def test_relative_paths_are_the_callers(self):
        record, show = self.profile("trace", "--config", "my own.ini", "--run.directory=runs/p")
        self.assertEqual((record[:2], show[:2]), ([str(self.here), "profile"], [str(self.here), "stats"]))
        at = record.index("-o")
        self.assertEqual(record[at:],
                         ["-o", "trace", str(self.train), "--config", "my own.ini", "--run.directory=runs/p",
                          "--run.graphs=false", "--profile.start_step=100", "--profile.steps=10"])
        self.assertEqual(show[-1], "trace.nsys-rep")
        record, _ = self.profile("trace", "--config", "my own.ini", "--run.graphs=true")
        self.assertEqual([word for word in record if "graphs" in word], ["--run.graphs=true"])

    def test_what_is_missing_is_named(self):
        self.assertIn("usage: profile OUTPUT --config F.ini", self.profile(code=2))
        self.train.unlink()
        self.assertIn(f"error: {self.train} is missing; scripts/build cuda makes it",
                      self.profile("trace", code=1))
        (self.path / "nsys").unlink()
        self.assertIn("error: nsys (Nsight Systems) is not on PATH", self.profile("trace", code=1))


if __name__ == "__main__":
    unittest.main()
