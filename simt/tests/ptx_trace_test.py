"""PTX_TRACE: the interpreter's trace of a block of nvcc's kernels, in the format of docs/study.md.

ptx_trace_test.py KERNELS_BENCH LIBRARY [unittest arguments]
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BENCH, LIBRARY = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(2))
SIZES = ("--tokens=40", "--pairs=2", "--targets=9", "--hidden=256", "--heads=4", "--vocabulary=301")


class PtxTrace(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def run_row(self, row, **environment):
        return subprocess.run([BENCH, "--once", f"--only={row}", *SIZES], capture_output=True, text=True,
                              timeout=300, env={**os.environ, "LD_PRELOAD": str(LIBRARY), **environment})

    def trace(self, row, block="0,0,0", **environment):
        file = self.dir / "t.json"
        done = self.run_row(row, PTX_TRACE=f"{row}_kernel:{block}:{file}", **environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(file.read_text())

    def test_sums_are_those_of_the_counts(self):
        counts = self.dir / "counts"
        t = self.trace("clip", PTX_COUNTS=str(counts))  # a grid of one block
        head, row = (line.split("\t") for line in counts.read_text().splitlines())
        row = dict(zip(head, row))
        self.assertEqual(t["totals"]["sectors"], [int(row["global_sectors"]), int(row["global_least"])])
        self.assertEqual(t["totals"]["loads"] + t["totals"]["stores"], int(row["global_requests"]))

    def test_steps_have_lines_lanes_and_values(self):
        t = self.trace("layer_norm_backward", "2,0,0")
        self.assertEqual((t["format"], t["kernel"], t["at"], t["block"]),
                         (1, "layer_norm_backward", [2, 0, 0], [128, 1, 1]))
        self.assertEqual(t["variant"], "layer_norm_backward_kernel<bf16, 1, false>")
        self.assertEqual(t["totals"]["barriers"], 1)
        self.assertEqual(t["totals"]["passes"][0] / t["totals"]["passes"][1], 1.5)
        files = list(t["sources"])
        self.assertIn("kernels/layer_norm_backward.cu", files)
        self.assertEqual(sum(s["k"] == "barrier" for s in t["steps"]), 4)
        order = [(s["t"], s["w"]) for s in t["steps"]]
        self.assertEqual(order, sorted(set(order)))
        for s in t["steps"]:
            for key in ("o", "v"):
                if key in s:
                    self.assertEqual(len(s[key]), bin(s["m"]).count("1"))

    def test_copies_name_their_waits(self):
        t = self.trace("attention_forward")
        copies = [s for s in t["steps"] if s["k"] == "copy"]
        self.assertGreater(len(copies), 8)
        for s in copies:
            self.assertEqual((t["steps"][s["l"]]["k"], t["steps"][s["l"]]["w"]), ("wait", s["w"]))

    def test_a_wrong_request_is_named(self):
        done = self.run_row("clip", PTX_TRACE="clip_kernel:0:x.json")
        self.assertEqual((done.returncode, done.stderr),
                         (1, 'ptx: PTX_TRACE is "clip_kernel:0:x.json"; it must be KERNEL:X,Y,Z:FILE.json\n'))
        done = self.run_row("clip", PTX_TRACE="clip_kernel:0,0,0:/nowhere/x.json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("PTX_TRACE: cannot write /nowhere/x.json", done.stderr)


if __name__ == "__main__":
    unittest.main()
