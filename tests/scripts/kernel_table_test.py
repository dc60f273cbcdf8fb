"""scripts/kernel_table: occupancy rules, the table of a canned log and launches, and its place in a document.

kernel_table_test.py SCRIPTS_DIR [unittest arguments]
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(sys.argv.pop(1)).resolve() / "kernel_table"
sys.dont_write_bytecode = True
sys.path.insert(0, str(SCRIPT.parent))
from load_script import load_script

kernel_table = load_script("kernel_table")

NAME = "_ZN8warpbert7kernels15exchange_kernelEPfS1_m"
LOG = "".join(
    f"ptxas info    : Compiling entry function '{NAME}' for '{architecture}'\nptxas info    : Function properties for {NAME}\n"
    f"    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\nptxas info    : Used {registers} registers, 512 bytes smem\n"
    for architecture, registers in (("sm_80", 32), ("sm_90", 72)))
LAUNCH = {"row": "exchange", "kernel": "exchange_kernel", "grid": [10, 2, 1], "block": [256, 1, 1], "dynamic_shared": 0, "bytes": 67e6, "flops": 0}


class KernelTable(unittest.TestCase):
    def program(self, launch, log=LOG, document=None):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "log").write_text(log)
            (folder / "launches").write_text(json.dumps(launch) + "\n")
            command = [sys.executable, SCRIPT, folder / "log", "--launches", folder / "launches"]
            if document is not None:
                (folder / "doc.md").write_text(document)
                command += ["--write-docs", "--document", folder / "doc.md"]
            done = subprocess.run(command, capture_output=True, text=True)
            return done.returncode, (folder / "doc.md").read_text() if document is not None else done.stdout + done.stderr, done.stderr

    def test_occupancy_is_limited_by_what_runs_out_first(self):
        of = kernel_table.occupancy
        self.assertEqual(of("sm_80", 256, 32, 0), 1)  # 8 blocks of 8 warps
        self.assertEqual(of("sm_80", 256, 33, 0), 0.75)  # 1,280 registers per warp: 51, of fours 48
        self.assertEqual(of("sm_80", 32, 16, 0), 0.5)  # limit of 32 blocks, one warp each
        self.assertEqual(of("sm_80", 256, 255, 0), 0.125)  # 8,192 registers per warp: 8 warps
        self.assertEqual(of("sm_80", 64, 32, 40 * 1024), 4 * 2 / 64)  # 4 blocks of 41 KB in 164 KB
        self.assertEqual(of("sm_90", 64, 32, 40 * 1024), 5 * 2 / 64)  # 5 blocks in 228 KB

    def test_a_row_has_registers_shared_memory_occupancy_and_predicted_times(self):
        code, text, _ = self.program(LAUNCH)
        self.assertEqual(code, 0, text)
        self.assertEqual(text.splitlines()[2],
                         "| exchange | `exchange_kernel` | 256 | 20 | 32/72 | 512 | 100%/38% | 0.05 | 67 | 33.5 | 20 | 14 | not measured yet |")

    def test_a_kernel_that_the_log_lacks_is_named(self):
        code, text, _ = self.program({**LAUNCH, "kernel": "gelu_kernel<bf16>"})
        self.assertEqual((code, text), (1, "kernel_table: the log has no gelu_kernel<bf16> for sm_80, sm_90; was it a build from scratch?\n"))

    def test_counts_give_the_time_to_issue_and_that_of_the_busiest_unit(self):
        counts = {"kernel": "gelu_kernel<bf16>", "launches": 2, "integer": 1000, "fp32": 4000, "fp64": 0, "special": 897600, "mma": 0, "shuffle": 0, "shared": 200,
                  "global": 300, "control": 100, "threads": 16 * 903200, "global_requests": 300, "global_sectors": 3000, "global_least": 1500,
                  "shared_requests": 200, "shared_passes": 250, "shared_least": 200}
        # 448,800 special instructions per launch, one per 2 clocks on each of 132 SMs: 6,800 clocks, 4 µs at
        # 1.7 GHz.
        self.assertEqual(kernel_table.counts_table([("gelu", counts), ("gelu", {**counts, "kernel": "other", "shared_passes": 0, "shared_least": 0})]).splitlines()[2:], [
            "| gelu | `gelu_kernel<bf16>` | 451600 | 0.50 | special | 4.00 | 50% | 2.00 | 1.25 |",
            "|  | `other` | 451600 | 0.50 | special | 4.00 | 50% | 2.00 |  |"])

    def test_counts_are_read_by_the_names_of_the_other_table(self):
        text = "kernel\tlaunches\tinteger\n_Z4castI13__nv_bfloat16Evv\t2\t30\n"
        self.assertEqual(kernel_table.read_counts(text, lambda names: ["cast<__nv_bfloat16>" for _ in names]), [{"kernel": "cast<bf16>", "launches": 2, "integer": 30}])

    def test_either_a_log_or_counting(self):
        done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr.splitlines()[-1]), (2, "kernel_table: error: either LOG, or --count"))

    def test_the_table_replaces_what_is_between_the_markers(self):
        code, text, _ = self.program(LAUNCH, document="before\n<!-- begin kernels -->\nold\n<!-- end kernels -->\nafter\n")
        self.assertEqual(code, 0)
        self.assertTrue(text.startswith("before\n<!-- begin kernels -->\n| row |"), text)
        self.assertTrue(text.endswith("not measured yet |\n<!-- end kernels -->\nafter\n"), text)
        self.assertNotIn("old", text)

    def test_a_document_without_markers_is_left_alone(self):
        code, text, stderr = self.program(LAUNCH, document="nothing here\n")
        self.assertEqual((code, text), (1, "nothing here\n"))
        self.assertEqual(stderr, "no <!-- begin kernels --> … <!-- end kernels --> in the document\n")


if __name__ == "__main__":
    unittest.main()
