"""check_folders reports includes that violate the layering of the folders, and stray files at the top level.

check_folders_test.py SCRIPTS_DIR [unittest arguments]
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(sys.argv.pop(1)).resolve() / "check_folders"


ROOMS = {"kernels": "nothing of ours", "engine": "`kernels`", "io": "nothing of ours",
         "train/step": "`kernels`, `engine`, `io`", "train/run": "`engine`, `train/step`"}


class Folders(unittest.TestCase):
    def check(self, files, rooms=ROOMS, git=False):
        pages = {f"{room}/README.md": f"# Room\n- Includes from: {below}.\n" for room, below in rooms.items()}
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**pages, **files}.items():
                path = pathlib.Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            if git:
                subprocess.run(["git", "init", "-q", folder], check=True)
            done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True)
            return done.returncode, (done.stdout + done.stderr).replace(folder + "/", "")

    def test_includes_may_point_downwards(self):
        code, text = self.check({
            "train/step/step.cpp": '#include <vector>\n#include "step.h"\n#include "engine/tape.h"\n',
            "io/npz.h": '#include "array.h"\n', "engine/cpu/gemm.cpp": '#include "engine/gemm.h"\n',
            "engine/ops.cpp": '#include "cpu/gemm.h"\n', "engine/cpu/gemm.h": ""})
        self.assertEqual((code, text), (0, "5 files in 5 rooms, every include points downwards\n"))

    def test_an_include_that_points_upwards_is_named(self):
        code, text = self.check({"kernels/gelu.cu": '#include "simt.h"\n',
                                 "engine/ops.cpp": '// \n  # include "train/step/step.h"\n'})
        self.assertEqual((code, text), (1, "engine/ops.cpp:2: engine must not include train/step/step.h\n"))

    def test_rooms_of_one_folder_have_rules_too(self):
        code, text = self.check({"train/step/step.cpp": '#include "train/run/trainer.h"\n',
                                 "train/run/a.cu": '#include "io/npz.h"\n'})
        self.assertEqual((code, text), (
            1, "train/run/a.cu:1: train/run must not include io/npz.h\n"
               "train/step/step.cpp:1: train/step must not include train/run/trainer.h\n"))

    def test_headers_of_kernels_are_looked_at(self):
        code, text = self.check({"kernels/a.cuh": '#include "engine/tape.h"\n'})
        self.assertEqual((code, text), (1, "kernels/a.cuh:1: kernels must not include engine/tape.h\n"))

    def test_io_knows_nothing_of_ours(self):
        code, text = self.check({"io/npz.cpp": '#include "kernels/bf16.h"\n'})
        self.assertEqual((code, text), (1, "io/npz.cpp:1: io must not include kernels/bf16.h\n"))

    def test_a_page_that_names_no_room_is_named(self):
        code, text = self.check({"io/npz.h": ""}, {"io": "`text`"})
        self.assertEqual((code, text), (1, "io/README.md: there is no room text\n"))

    def test_a_stray_file_at_the_top_level_is_named(self):
        files = {"io/npz.h": "",
                 "README.md": "# x\n## Rooms\n| [io/](io/README.md) | files |\n## Next\nnot/a/room\n",
                 "CMakeLists.txt": "", ".clang-format": "", ".gitignore": "build/\n", "build/x.o": ""}
        self.assertEqual(self.check(files, {"io": "nothing of ours"})[0], 0)
        stray = {"a-1.0-py3-none-any.whl": "", "not/a/file": "", "io/more.txt": ""}
        code, text = self.check({**files, **stray}, {"io": "nothing of ours"})
        message = ": not in the map of rooms of README.md; the top level holds nothing else\n"
        self.assertEqual((code, text), (1, f"a-1.0-py3-none-any.whl{message}not{message}"))

    def test_ignored_files_of_a_repository_are_not_stray(self):
        files = {"io/npz.h": "", "README.md": "## Rooms\n| io/ |\n", ".gitignore": "*.log\n", "a.log": ""}
        for more, code in ({}, 0), ({"b.whl": ""}, 1):
            with self.subTest(more):
                self.assertEqual(self.check({**files, **more}, {"io": "nothing of ours"}, git=True)[0], code)

    def test_no_sources_is_an_error(self):
        code, text = self.check({"README.md": ""})
        self.assertEqual(code, 1)
        self.assertIn("no sources", text)


if __name__ == "__main__":
    unittest.main()
