"""The rule of the house is a rule: an include that points upwards is named.

check_folders_test.py SCRIPTS_DIR [unittest arguments]
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(sys.argv.pop(1)).resolve() / "check_folders"


class Folders(unittest.TestCase):
    def check(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = pathlib.Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True)
            return done.returncode, (done.stdout + done.stderr).replace(folder + "/", "")

    def test_includes_may_point_downwards(self):
        code, text = self.check({"train/step.cpp": '#include <vector>\n#include "step.h"\n#include "engine/tape.h"\n', "io/npz.h": '#include "array.h"\n'})
        self.assertEqual((code, text), (0, "2 files, every include points downwards\n"))

    def test_an_include_that_points_upwards_is_named(self):
        code, text = self.check({"kernels/gelu.cu": '#include "simt.h"\n', "engine/ops.cpp": '// \n  # include "train/step.h"\n'})
        self.assertEqual((code, text), (1, "engine/ops.cpp:2: engine must not include train/step.h\n"))

    def test_io_knows_nothing_of_ours(self):
        code, text = self.check({"io/npz.cpp": '#include "kernels/bf16.h"\n'})
        self.assertEqual((code, text), (1, "io/npz.cpp:1: io must not include kernels/bf16.h\n"))

    def test_no_sources_is_an_error(self):
        code, text = self.check({"README.md": ""})
        self.assertEqual(code, 1)
        self.assertIn("no sources", text)


if __name__ == "__main__":
    unittest.main()
