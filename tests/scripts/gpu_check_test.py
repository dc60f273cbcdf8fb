"""scripts/gpu_check without a GPU: time budget, parsing of program output, tables, and packing.

gpu_check_test.py SCRIPTS_DIR [unittest arguments]
"""
import contextlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

SCRIPT = pathlib.Path(sys.argv.pop(1)).resolve() / "gpu_check"
sys.dont_write_bytecode = True
sys.path.insert(0, str(SCRIPT.parent))
from load_script import load_script

gpu_check = load_script("gpu_check")

STEP = {"what": "warpbert base bf16", "ms": 2.0, "median_ms": 1.9, "p10_ms": 1.8, "p90_ms": 2.25, "pairs_per_s": 32000, "memory_mib": 1500, "tokens": 989.4}
DOCUMENT = "".join(f"{name}\n<!-- begin {name} -->\n{old}\n<!-- end {name} -->\n" for name, old in (
    ("floors", "| GPU | R | C | floor |\n|---|---|---|---|\n| H100 | not measured yet | | |\n| H200 | not measured yet | | |"),
    ("results", "old"), ("scaling", "old")))


class GpuCheck(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def quietly(self, action, *arguments):
        with contextlib.redirect_stdout(io.StringIO()):
            return action(*arguments)

    def attempt(self, report, *arguments, **more):
        return self.quietly(lambda: report.attempt(*arguments, **more))

    def test_what_does_not_fit_the_time_is_skipped_and_named(self):
        now = [100.0]
        report = gpu_check.Report(self.dir / "r.md", 1, clock=lambda: now[0])
        program = (sys.executable, "-c", "print('ran')")
        self.assertEqual(self.attempt(report, "short", 59, *program), "ran\n")
        now[0] += 30
        self.assertIsNone(self.attempt(report, "long", 31, *program))
        self.assertEqual((report.skipped, report.failed), (["long"], []))
        self.assertIn("| long | skipped: 31 s expected, 30 s left | | |", (self.dir / "r.md").read_text())

    def test_a_failure_and_an_output_that_says_nothing_count_as_failed(self):
        report = gpu_check.Report(self.dir / "r.md", 1)
        self.assertIsNone(self.attempt(report, "bad", 1, sys.executable, "-c", "print('why'); exit(3)"))
        self.assertIsNone(self.attempt(report, "empty", 1, sys.executable, "-c", "print('nothing')", note=lambda text: None))
        self.assertIsNone(self.attempt(report, "absent", 1, str(self.dir / "none")))
        self.assertEqual(report.failed, ["bad", "empty", "absent"])
        self.assertIn("| bad | FAILED (3) |", report.text)
        self.assertIn("why", report.text)
        report.attempt("good", 1, "true")
        after = report.text[report.text.index("| bad |"):]  # output of a failure splits the table
        self.assertRegex(after, r"(?s)```\n\n\| what \| result \| time \| \|\n\|---\|---\|---\|---\|\n\| good \| passed ")

    def test_what_hangs_does_not_take_the_time_of_the_rest(self):
        report = gpu_check.Report(self.dir / "r.md", 10)
        with mock.patch.object(gpu_check, "GRACE", 0):
            self.assertIsNone(self.attempt(report, "hangs", 0.1, sys.executable, "-c", "import time; time.sleep(100)"))
        self.assertIn("| hangs | not finished: stopped after 1 s | 1.", report.text)
        self.assertEqual((report.failed, report.unfinished), ([], ["hangs"]))
        self.assertGreater(report.left(), 590)

    def test_what_a_command_started_ends_with_it(self):
        pid = self.dir / "pid"
        program = f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)']); open('{pid}', 'w').write(str(p.pid)); time.sleep(100)"
        code, _ = gpu_check.run(sys.executable, "-c", program, timeout=2)
        self.assertIsNone(code.returncode)
        for _ in range(100):  # its new parent has to reap it
            state = pathlib.Path(f"/proc/{pid.read_text()}/stat")
            if not state.exists() or state.read_text().split()[2] == "Z":
                break
            time.sleep(0.05)
        else:
            self.fail("it lives on")

    def test_rates_are_measured_once_and_before_they_are_needed(self):
        text = "GPU: product 700 TFLOP/s, copy 2.75 TB/s; tf32 400.0, fp32 50.0 TFLOP/s\ntogether 1.85 ms\n"
        report, asked = mock.Mock(), []

        def attempt(what, expected, *command, **more):
            asked.append((what, command))
            return text if what == "floors" else '{"ms": 1, "pairs_per_s": 2}'

        report.attempt = attempt
        place = mock.Mock(gpu=True, torch="2", rates=None, python="python", build=self.dir)
        for precision in ("bf16", "fp32"):
            gpu_check.step(report, place, "steps", precision, 1, precision=precision)
        self.assertEqual([what for what, _ in asked], ["floors", "bf16", "fp32"])
        self.assertEqual(asked[1][1][-2:], ("--tflops=700.0", "--gbps=2750"))
        self.assertEqual(asked[2][1][-2:], ("--tflops=50.0", "--gbps=2750"))

    def test_a_later_call_goes_on_with_the_report(self):
        first = gpu_check.Report(self.dir / "r.md", 1)
        self.quietly(first.add, "first\n")
        step, peer, note = {"device": "NVIDIA H100 80GB, sm_90", "ms": 1}, {"device": "NVIDIA H100 80GB"}, {"note": "not run"}
        first.keep("steps", step), first.keep("peers", note), first.keep("floors", peer)
        second = gpu_check.Report(self.dir / "r.md", 1, append=True, device="NVIDIA H100 80GB")
        self.quietly(second.add, "second\n")
        second.keep("peers", peer), second.keep("peers", note)
        self.assertEqual(second.figures, {"steps": [step], "peers": [peer, note], "floors": [peer]})
        other = gpu_check.Report(self.dir / "r.md", 1, append=True, device="NVIDIA H200")
        self.assertEqual(other.figures, {})  # figures of another GPU are dropped
        self.assertEqual((self.dir / "r.md").read_text(), "first\n\nsecond\n")

    def test_cudas_libraries_are_found_among_pythons_packages(self):
        def script(name, text):
            (self.dir / name).write_text("#!/bin/sh\n" + text)
            (self.dir / name).chmod(0o755)
            return str(self.dir / name)

        lib = self.dir / "nvidia/cu13/lib"
        script("ldd", f'case "$LD_LIBRARY_PATH" in {lib}*) ;; *) echo "	libcublasLt.so.13 => not found";; esac\n')
        python = script("python", f"echo {self.dir}/nvidia\n")
        with mock.patch.dict("os.environ", {"PATH": f"{self.dir}:/usr/bin:/bin", "LD_LIBRARY_PATH": "/elsewhere"}):
            with self.assertRaisesRegex(SystemExit, "train needs libcublasLt.so.13, .* set LD_LIBRARY_PATH"):
                gpu_check.find_cuda_libraries("train", python)
        with mock.patch.dict("os.environ", {"PATH": f"{self.dir}:/usr/bin:/bin", "LD_LIBRARY_PATH": "/elsewhere"}):
            lib.mkdir(parents=True)
            (lib / "libcublasLt.so.13").touch()
            gpu_check.find_cuda_libraries("train", python)
            self.assertEqual(os.environ["LD_LIBRARY_PATH"], f"{lib}:/elsewhere")

    def test_figures_of_the_programs(self):
        self.assertEqual(gpu_check.figure_of('text\n{"ms": 1, "pairs_per_s": 2}\n'), {"ms": 1, "pairs_per_s": 2})
        for text in ("", "no json", "[1]", '{"ms": 1}'):
            self.assertIsNone(gpu_check.figure_of(text))
        floors = "NVIDIA H100 80GB: product 700.5 TFLOP/s, copy 2.75 TB/s; tf32 400.5, fp32 50.0 TFLOP/s\nGEMM 0.7 ms\ntogether 1.85 ms\n"
        wanted = {"device": "NVIDIA H100 80GB", "tflops": 700.5, "tb_per_s": 2.75, "tf32": 400.5, "fp32": 50.0, "ms": 1.85}
        self.assertEqual(gpu_check.floor_of(floors), wanted)
        self.assertIsNone(gpu_check.floor_of("NVIDIA H100 80GB: product 700.5 TFLOP/s, copy 2.75 TB/s\n"))

    def test_tables_go_between_their_markers(self):
        floor = {"device": "NVIDIA H100 80GB", "tflops": 700.5, "tb_per_s": 2.75, "ms": 1.85}
        peer = {"name": "packed graph", "mean": 3.5, "ms": 3.25, "p10": 3, "p90": 4, "pairs_s": 18286, "memory_MiB": 2048}
        text = gpu_check.written(DOCUMENT, {"steps": [STEP], "peers": [peer], "floors": [floor]}, "H100, today")
        self.assertIn("| warpbert base bf16 | 2.000 | 1.900 | 1.800 | 2.250 | 32000 | 1500 |\n| packed graph | 3.500 | 3.250 | 3.000 | 4.000 | 18286 | 2048 |", text)
        # As run_all.judged() returns it.
        nan = {"name": "spoilt", "note": "failed: its losses are not finite", "unjudged": {"ms": 1.0}}
        losses = {"name": "padded eager", "losses": [5.0], "difference": 0.02, "note": "failed: its losses are not ours"}
        spoilt = gpu_check.results_table({"peers": [nan, losses]}, "x")
        self.assertIn("| spoilt | failed: its losses are not finite |", spoilt)
        self.assertIn("padded eager 5.0000 (2 % from ours) FAILED", spoilt)
        self.assertIn("<!-- begin results -->\nH100, today.\n", text)
        self.assertIn("| NVIDIA H100 80GB | 700 TFLOP/s | 2.75 TB/s | 1.85 ms |\n| H200 | not measured yet | | |\n<!-- end floors -->", text)
        self.assertIn("<!-- begin scaling -->\nold\n", text)  # that part did not run
        self.assertIn("| warpbert base bf16 | 989 | 2.000 | 32000 | 1500 |", gpu_check.written(DOCUMENT, {"scaling": [STEP]}, "x"))

    def test_times_of_kernels_go_to_their_rows(self):
        document = (SCRIPT.parent.parent / "docs/benchmarks.md").read_text()
        about = {"device": "H100", "gbps": 3000, "tuned": False}
        row = lambda name, us, **more: {"row": name, "us": us, "tuned": False, "product": False, **more}
        kernels = [about, row("clip", 1.234), row("square_sum, a layer", 30.125), row("clip", 9, tuned=True), row("a product", 5, product=True)]
        text = gpu_check.written(document, {"kernels": kernels}, "H100, today")
        was, now = ([line for line in t.partition("<!-- begin kernels -->")[2].partition("<!-- end kernels -->")[0].splitlines()] for t in (document, text))
        self.assertEqual(len(was), len(now))
        changed = [(a, b) for a, b in zip(was, now) if a != b]
        self.assertEqual(len(changed), 3)
        self.assertTrue(changed[0][1].endswith("| µs measured, H100, today |"))
        for (before, after), us in zip(changed[1:], ("30.12", "1.23")):
            self.assertEqual(after, before.removesuffix("not measured yet |") + us + " |")
        # A run on another GPU resets the rows it did not measure.
        again = gpu_check.written(text, {"kernels": [about, row("clip", 2)]}, "H200, tomorrow")
        self.assertEqual(again, document.replace("| µs measured |", "| µs measured, H200, tomorrow |").replace(
            next(b for b, _ in changed if b.startswith("| clip ")), next(b for b, _ in changed if b.startswith("| clip ")).replace("not measured yet", "2.00")))

    def test_the_document_has_every_marker(self):
        document = (SCRIPT.parent.parent / "docs/benchmarks.md").read_text()
        for name in ("floors", "results", "scaling", "kernels"):
            self.assertEqual(document.count(f"<!-- begin {name} -->"), 1, name)
            self.assertEqual(document.count(f"<!-- end {name} -->"), 1, name)

    def test_a_pack_has_programs_and_their_libraries_and_a_limit(self):
        build = self.dir / "build/cuda"
        (build / "bin").mkdir(parents=True)
        (build / "tests").mkdir()
        shutil.copy(shutil.which("openssl") or shutil.which("bash"), build / "bin/program")  # any dynamic ELF
        (build / "bin/command").symlink_to("program")
        (build / "bin/base.ini").write_text("[data]\n")
        (build / "bin/left_out.txt").write_text("x")
        archive, pack = self.dir / "pack.tar.xz", self.dir / "pack"
        self.quietly(gpu_check.pack, build, archive, 64)
        subprocess.run(["tar", "xf", archive, "--one-top-level=pack"], cwd=self.dir, check=True)
        self.assertEqual(sorted(f.name for f in (pack / "build/cuda/bin").iterdir()), ["base.ini", "command", "program"])
        self.assertEqual(os.readlink(pack / "build/cuda/bin/command"), "program")
        packed = {f.name for f in (pack / "build/cuda/lib").iterdir()}
        self.assertEqual(packed, {name for name, _ in gpu_check.libraries(build / "bin/program")})
        self.assertTrue(packed)
        self.assertTrue((pack / "scripts/gpu_check").exists())
        self.assertTrue((pack / "tests/golden/tiny/golden.npz").exists())
        with self.assertRaisesRegex(SystemExit, "a .tar.xz is made"):
            self.quietly(gpu_check.pack, build, self.dir / "pack.zip", 64)
        with self.assertRaisesRegex(SystemExit, r"MiB, more than 0.1; the largest files, in MiB before compression: "):
            self.quietly(gpu_check.pack, build, self.dir / "other.tar.xz", 0.1)
        self.assertFalse((self.dir / "other.tar.xz").exists())


if __name__ == "__main__":
    unittest.main()
