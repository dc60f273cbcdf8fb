"""bench/tables.py and bench/compiled_kernels.py: occupancy, tables of canned results, their places in pages.

tables_test.py SCRIPTS_DIR [unittest arguments]
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(sys.argv.pop(1)).resolve()
BENCH = SCRIPTS.parent / "bench"
sys.dont_write_bytecode = True
sys.path[:0] = [str(SCRIPTS), str(BENCH)]
import compiled_kernels  # noqa: E402
import tables  # noqa: E402

NAME = "_ZN8warpbert7kernels11swap_kernelEPfS1_m"
LOG = "".join(
    f"ptxas info    : Compiling entry function '{NAME}' for '{architecture}'\n"
    f"ptxas info    : Function properties for {NAME}\n"
    "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
    f"ptxas info    : Used {registers} registers, 512 bytes smem\n"
    for architecture, registers in (("sm_80", 32), ("sm_90", 72)))
COUNTS = {"launches": 2, "integer": 1000, "fp32": 4000, "fp64": 0, "special": 897600, "mma": 0, "shuffle": 0,
          "shared": 200, "global": 300, "control": 100, "threads": 16 * 903200, "global_requests": 300,
          "global_sectors": 3000, "global_least": 1500, "shared_requests": 200, "shared_passes": 250,
          "shared_least": 200}
KERNEL = {"row": "swap", "kernel": "swap_kernel", "grid": [10, 2, 1], "block": [256, 1, 1],
          "dynamic_shared": 0, "bytes": 67e6, "flops": 0, "sm_80": {"registers": 32, "smem": 512},
          "sm_90": {"registers": 72, "smem": 512}, "counts": COUNTS}
STEP = {"part": "steps", "name": "warpbert base bf16", "status": "passed", "ms": 2.0, "median_ms": 1.9,
        "p10_ms": 1.8, "p90_ms": 2.25, "pairs_per_s": 32000, "memory_mib": 1500, "tokens": 989.4,
        "gflop": 500, "mb": 3000, "precision": "bf16"}
PEER = {"part": "peers", "name": "packed graph", "status": "passed", "mean": 3.5, "ms": 3.25, "p10": 3,
        "p90": 4, "pairs_s": 18286, "memory_MiB": 2048, "tokens": 989}
RATES = {"part": "rates", "name": "rates", "status": "passed", "tflops": {"bf16": 500, "fp32": 50},
         "tb_per_s": 3.0}
RESULTS = {"gpu": "NVIDIA H100", "driver": "570", "date": "2026-12-01", "build": "warpbert 1",
           "torch": "2.9", "rows": [
    RATES, STEP, PEER,
    {"part": "peers", "name": "padded graph", "status": "stopped after 60 s", "output": "x"},
    {"part": "losses", "name": "packed", "status": "passed", "losses": [5, 4, 3], "difference": 0.0025},
    {"part": "kernels", "name": "kernels", "status": "passed", "rows": [{"row": "swap", "us": 30.126}]},
    {"part": "kernels", "name": "kernels --tune", "status": "passed", "rows": [{"row": "swap", "us": 9}]}]}
PAGE = "before\n<!-- begin kernels -->\nold\n<!-- end kernels -->\nafter\n"
BENCHMARKS = "".join(f"<!-- begin {name} -->\nold\n<!-- end {name} -->\n"
                     for name in ("kernels", "counts", "measured"))


class Tables(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name, text in {"docs/benchmarks.md": BENCHMARKS, "docs/kernels/swap.md": PAGE,
                           "kernels/swap.cu": "void swap_kernel()",
                           "bench/results/compiled.json": json.dumps({"kernels": [KERNEL]})}.items():
            self.write(name, text)

    def write(self, name, text):
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def pages(self):
        return {page.name: text for page, text in tables.pages(self.root).items()}

    def test_blocks_are_limited_by_what_runs_out_first(self):
        def blocks(architecture, threads, registers, shared):
            use = {"registers": registers, "smem": 512}
            kernel = {"block": [threads, 1, 1], "dynamic_shared": shared - 512, architecture: use}
            return tables.resident_blocks(kernel, architecture)

        self.assertEqual(blocks("sm_80", 256, 32, 512), 8)  # 64 warps
        self.assertEqual(blocks("sm_80", 256, 33, 512), 6)  # 1,280 registers per warp: 51, of fours 48
        self.assertEqual(blocks("sm_80", 32, 16, 512), 32)
        self.assertEqual(blocks("sm_80", 256, 255, 512), 1)  # 8,192 registers per warp: 8 warps
        self.assertEqual(blocks("sm_80", 64, 32, 40 * 1024), 4)  # 41 KB each, of 164 KB
        self.assertEqual(blocks("sm_90", 64, 32, 40 * 1024), 5)  # of 228 KB

    def test_a_kernel_has_registers_shared_memory_occupancy_and_predicted_times(self):
        row = "| swap | `swap_kernel` | 256 | 20 | 32/72 | 512 | 100%/38% | 0.05 | 67 | 33.5 | 20 | 14 |\n"
        self.assertEqual(self.pages()["swap.md"].splitlines(True)[4], row)
        self.assertIn(row, self.pages()["benchmarks.md"])

    def test_counts_give_the_time_to_issue_and_that_of_the_busiest_unit(self):
        other = {**KERNEL, "kernel": "other", "counts": {**COUNTS, "shared_passes": 0, "shared_least": 0}}
        # 448,800 special instructions a launch, one per 2 clocks on each of 132 SMs: 6,800 clocks, 4 µs at
        # 1.7 GHz.
        self.assertEqual(tables.counts_table([KERNEL, other]).splitlines()[2:], [
            "| swap | `swap_kernel` | 451600 | 0.50 | special | 4.00 | 50% | 2.00 | 1.25 |",
            "|  | `other` | 451600 | 0.50 | special | 4.00 | 50% | 2.00 |  |"])

    def test_results_of_a_gpu_are_sections_and_columns(self):
        self.assertIn("<!-- begin measured -->\n<!-- end measured -->\n", self.pages()["benchmarks.md"])
        old = {**RESULTS, "date": "2026-11-30", "build": "old"}
        self.write("bench/results/nvidia-h100-2026-11-30.json", json.dumps(old))
        self.write("bench/results/nvidia-h100-2026-12-01.json", json.dumps(RESULTS))
        page = self.pages()["benchmarks.md"]
        self.assertIn("### NVIDIA H100\nNVIDIA H100, driver 570, PyTorch 2.9; warpbert 1; 2026-12-01.\n",
                      page)
        self.assertNotIn("old", page)
        self.assertIn("Large GEMMs reach 500 TFLOP/s in bf16, 50 TFLOP/s in fp32; copies 3.00 TB/s.\n", page)
        # Lower bound: 500 GFLOP at 500 TFLOP/s and 3 GB at 3 TB/s.
        self.assertIn("| warpbert base bf16 | 2.000 | 1.900 | 1.800 | 2.250 | 2.000 | 989 | 32000 | 1500 |\n"
                      "| packed graph | 3.500 | 3.250 | 3.000 | 4.000 |  | 989 | 18286 | 2048 |\n"
                      "| padded graph | stopped after 60 s |", page)
        self.assertIn("| packed | 5.0000 | 4.0000 | 3.0000 | 0.0025 | passed |", page)
        self.assertIn("| µs, NVIDIA H100 |", page)
        self.assertIn("| 33.5 | 20 | 14 | 30.13 |", self.pages()["swap.md"])  # of the run without --tune

    def test_a_report_has_every_row(self):
        path = self.root / "results.json"
        path.write_text(json.dumps(RESULTS))
        text = subprocess.run([BENCH / "tables.py", path], capture_output=True, text=True, check=True).stdout
        for row in ("| swap | 30.13 |", "| peers | padded graph | stopped after 60 s |  |"):
            self.assertIn(row, text)

    def test_a_page_without_markers_or_without_its_kernels_is_named(self):
        self.write("kernels/swap.cu", "void renamed_kernel()")
        with self.assertRaisesRegex(SystemExit,
                                    r"swap.md: compiled.json has no kernel of kernels/swap\*.cu; "):
            self.pages()
        self.write("docs/benchmarks.md", "nothing")
        with self.assertRaisesRegex(SystemExit,
                                    "benchmarks.md: no <!-- begin kernels --> … <!-- end kernels -->"):
            self.pages()

    def test_the_pages_are_what_the_results_say(self):
        done = subprocess.run([BENCH / "tables.py", "--check"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_launches_get_the_registers_of_the_log(self):
        used = compiled_kernels.registers(LOG)
        self.assertEqual(used, {"swap_kernel": {a: KERNEL[a] for a in ("sm_80", "sm_90")}})
        launch = {"row": "swap", "kernel": "swap_kernel"}
        self.assertEqual(compiled_kernels.merged([dict(launch)], used, {"swap": {"swap_kernel": COUNTS}}),
                         [launch | used["swap_kernel"] | {"counts": COUNTS}])
        with self.assertRaisesRegex(SystemExit, "have no gelu_kernel; was it a build from scratch?"):
            compiled_kernels.merged([{"row": "swap", "kernel": "gelu_kernel"}], used, {"swap": {}})


if __name__ == "__main__":
    unittest.main()
