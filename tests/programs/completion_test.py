"""Shell completion and manual page, which are made from the commands' own option tables.

completion_test.py BIN_DIR [unittest arguments]
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMANDS = ["train", "predict", "eval", "report", "average", "export", "inspect", "count-tokens",
            "completion"]
# Completes the last of the words as bash does: readline splits --key=value at =.
COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_warpbert_complete warpbert "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def warpbert(*args):
    return subprocess.run([BIN / "warpbert", *args], capture_output=True, text=True)


class Completion(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)
        self.script = self.dir / "warpbert.bash"
        self.script.write_text(warpbert("completion", "bash").stdout)
        (self.dir / "here").mkdir()
        for name in ("a b.ini", "pairs.tsv"):
            (self.dir / "here" / name).touch()

    def tearDown(self):
        self.folder.cleanup()

    def complete(self, *words):
        command = ["bash", "-c", COMPLETE, "bash", self.script, "warpbert", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.dir / "here")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split("\n")[:-1]

    def test_every_option_of_help_is_completed_and_no_other(self):
        self.assertEqual(self.complete(""), [*COMMANDS, "--help", "--version"])
        for command in COMMANDS:
            shown = re.findall(r"(?m)^  (?:-h, )?(--\S+)", warpbert(command, "--help").stdout)
            self.assertIn("--version", shown)
            self.assertEqual(sorted(self.complete(command, "--")), sorted(shown), command)
        self.assertIn("--train.lr", self.complete("train", "--"))
        self.assertEqual(self.complete("eval", "--thr"), ["--threshold"])

    def test_values_are_completed_by_their_type(self):
        precisions = ["bf16", "fp32", "tf32"]
        self.assertEqual(self.complete("train", "--train.precision", ""), precisions)
        self.assertEqual(self.complete("train", "--train.precision", "="), precisions)
        self.assertEqual(self.complete("train", "--train.precision", "=", "f"), ["fp32"])
        # zsh's words.
        self.assertEqual(self.complete("train", "--train.precision=f"), ["--train.precision=fp32"])
        self.assertEqual(self.complete("train", "--train.lr", ""), [""])
        self.assertEqual(sorted(self.complete("train", "--config", "")), ["a b.ini", "pairs.tsv"])
        self.assertEqual(self.complete("train", "--config=a"), ["--config=a b.ini"])
        self.assertEqual(self.complete("train", "--dry-run", "--conf"), ["--config"])
        self.assertEqual(self.complete("count-tokens", "p"), ["pairs.tsv"])

    def test_zsh_runs_the_same_functions(self):
        bash, zsh = self.script.read_text().splitlines(), warpbert("completion", "zsh").stdout.splitlines()
        self.assertEqual(zsh[0], "#compdef warpbert")
        self.assertEqual(zsh[zsh.index("_warpbert_commands() {"):-1],
                         bash[bash.index("_warpbert_commands() {"):])

    def test_unknown_shells_are_refused(self):
        for args, message in ((["fish"], "'fish' is no shell that is known here; bash or zsh"),
                              ([], "SHELL is missing"), (["bash", "zsh"], "'zsh'")):
            done = warpbert("completion", *args)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(message, done.stderr)

    @unittest.skipUnless(shutil.which("cmake"), "no cmake on PATH")
    def test_the_files_that_cmake_installs(self):
        folder = self.dir / "share of it"
        command = ["cmake", f"-DPROGRAM={BIN}/warpbert", f"-DFOLDER={folder}",
                   "-P", ROOT / "cmake/generated_files.cmake"]
        subprocess.run(command, check=True, capture_output=True)
        self.assertEqual((folder / "warpbert").read_text(), self.script.read_text())
        self.assertEqual((folder / "_warpbert").read_text(), warpbert("completion", "zsh").stdout)
        page = (folder / "warpbert.1").read_text()
        plain = page.replace("\\&", "").replace("\\-", "-").replace("\\e", "\\")
        for name in COMMANDS:
            self.assertIn(f".SH {name.upper()}\n.nf\n{warpbert(name, '--help').stdout}.fi\n", plain)
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-K", "utf8", "-man", "-ww", "-Tutf8", folder / "warpbert.1"],
                                  capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("--train.precision", re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout))
        # A program that cannot run here leaves no files, and no failure.
        command[1] = f"-DPROGRAM={self.script}"
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        self.assertIn("does not run here", done.stdout + done.stderr)
        self.assertFalse(folder.exists())


if __name__ == "__main__":
    unittest.main()
