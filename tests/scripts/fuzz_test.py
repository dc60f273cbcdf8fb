"""Every fuzz target has a corpus and a row of docs/reliability.md, and scripts/fuzz refuses others.

fuzz_test.py SCRIPTS_DIR [unittest arguments]
"""
import pathlib
import re
import subprocess
import sys
import unittest

SCRIPTS = pathlib.Path(sys.argv.pop(1)).resolve()
FUZZ = SCRIPTS.parent / "tests/fuzz"
TARGETS = {p.stem for p in FUZZ.glob("*.cpp")} - {"replay"}


class Fuzz(unittest.TestCase):
    def test_every_fuzz_target_has_a_corpus(self):
        self.assertGreater(len(TARGETS), 15)
        self.assertEqual({p.name for p in (FUZZ / "corpus").iterdir() if p.is_dir()}, TARGETS)
        for target in TARGETS:
            self.assertGreater(len(list((FUZZ / "corpus" / target).iterdir())), 3, target)
        self.assertLess(sum(p.stat().st_size for p in FUZZ.rglob("corpus/*/*")), 200_000)

    def test_every_fuzz_target_is_documented(self):
        section = (SCRIPTS.parent / "docs/reliability.md").read_text().partition("## Fuzzing")[2]
        rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section, re.M)
        self.assertEqual({name for row in rows for name in re.findall(r"\w+", row)}, TARGETS)

    def test_other_fuzz_targets_and_no_minutes_are_refused(self):
        for arguments, said in ((["1", "gguf"], "fuzz: gguf is no target"),
                                (["0"], "fuzz: MINUTES is above 0")):
            done = subprocess.run([SCRIPTS / "fuzz", *arguments], text=True, capture_output=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn(said, done.stderr)


if __name__ == "__main__":
    unittest.main()
