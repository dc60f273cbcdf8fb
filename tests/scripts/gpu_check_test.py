"""scripts/gpu_check without a GPU: fake programs in place of a build, a fake nvidia-smi, and real packing.

gpu_check_test.py SCRIPTS_DIR [unittest arguments]
"""
import contextlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

SCRIPTS = pathlib.Path(sys.argv.pop(1)).resolve()
sys.dont_write_bytecode = True
sys.path.insert(0, str(SCRIPTS))
import commands  # noqa: E402
import pack  # noqa: E402

PEER = """case "$*" in
*"import torch"*) echo 2.9 ;;
*transformers*) echo "ModuleNotFoundError: No module named 'transformers'"; exit 1 ;;
*warpbert*) echo '{"losses": [5.0, 4.0]}' ;;
*losses*padded*) echo '{"losses": [5.01, 4.1]}' ;;
*losses*packed*) echo '{"losses": [5.0, 4.01]}' ;;
*packed*eager*) echo '{"ms": 1, "finite": false}' ;;
*peer.py*) echo warming up; echo '{"ms": 2, "finite": true}' ;;
esac"""


class GpuCheck(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name).resolve()
        self.output = self.dir / "results.json"
        self.fake("build/bin/train", "echo warpbert 1, CUDA 13")
        self.fake("build/tests/a_test", "echo 'test cases:   3 | 3 passed'")

    def fake(self, name, script):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def check(self, parts, *arguments, preset="cpu", code=0):
        """The rows written, {name: row}, and the output."""
        command = [sys.executable, SCRIPTS / "gpu_check", "--preset", preset, "--build", self.dir / "build",
                   "--parts", parts, "--output", self.output, *arguments]
        environment = {**os.environ, "PATH": f"{self.dir / 'path'}:{os.environ['PATH']}"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        rows = json.loads(self.output.read_text())["rows"] if self.output.exists() else []
        return {row["name"]: row for row in rows}, done.stdout + done.stderr

    def test_a_failure_and_output_without_a_result_fail(self):
        self.fake("build/tests/bad_test", "echo why; exit 3")
        self.fake("build/tests/none_test", "echo 'test cases: 0 | 0 passed'")
        rows, printed = self.check("tests", code=1)
        self.assertEqual([row["status"] for row in rows.values()], ["passed", "failed (3)", "failed (0)"])
        self.assertEqual(rows["tests a_test"]["printed"], "3")
        self.assertEqual(rows["tests bad_test"]["output"], "why\n")
        self.assertIn("tests     tests bad_test: failed (3)\nwhy\n", printed)

    def test_a_row_that_hangs_is_stopped_and_one_without_time_left_is_skipped(self):
        self.fake("build/tests/hangs_test", f"sleep 100 & echo $! > {self.dir}/pid; wait")
        self.fake("build/tests/late_test", "exit 1")
        rows, _ = self.check("tests", "--minutes", "0.2", code=1)
        self.assertRegex(rows["tests hangs_test"]["status"], r"stopped after [5-9]|1[0-2] s")
        self.assertRegex(rows["tests late_test"]["status"], "skipped: 5 s expected, 0 s left")
        self.assertTrue(self.ended((self.dir / "pid").read_text().strip()))

    def ended(self, pid):
        for _ in range(100):  # its new parent has to reap it
            state = pathlib.Path(f"/proc/{pid}/stat")
            if not state.exists() or state.read_text().split()[2] == "Z":
                return True
            time.sleep(0.05)
        return False

    def test_a_signal_ends_the_running_command(self):
        self.fake("build/tests/hangs_test", f"sleep 100 & echo $! > {self.dir}/pid; wait")
        command = [sys.executable, SCRIPTS / "gpu_check", "--preset", "cpu", "--build", self.dir / "build",
                   "--parts", "tests", "--output", self.output]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(400):
            if (self.dir / "pid").exists() and (self.dir / "pid").read_text().endswith("\n"):
                break
            time.sleep(0.05)
        process.terminate()
        self.assertEqual(process.wait(30), 128 + 15)
        self.assertTrue(self.ended((self.dir / "pid").read_text().strip()))

    def test_a_later_call_of_the_same_build_replaces_equal_rows(self):
        self.check("tests")
        self.fake("build/tests/b_test", "echo 'test cases: 4'")
        (self.dir / "build/tests/a_test").unlink()
        self.assertEqual(list(self.check("tests")[0]), ["tests a_test", "tests b_test"])
        self.fake("build/bin/train", "echo warpbert 2")
        self.assertEqual(list(self.check("tests")[0]), ["tests b_test"])  # rows of another build go

    def test_peers_must_be_finite_and_have_our_losses(self):
        python = self.fake("python", PEER)
        rows, _ = self.check("peers,losses", "--python", python, code=1)
        self.assertEqual({name: row["status"] for name, row in rows.items()}, {
            "packed compile+graph": "passed", "packed eager": "failed (0)", "padded eager": "passed",
            "transformers eager": "skipped: No module named 'transformers'", "warpbert": "passed",
            "packed": "passed", "padded": "failed: its losses are not ours",
            "transformers": "skipped: No module named 'transformers'"})
        self.assertEqual(rows["packed compile+graph"]["ms"], 2)
        self.assertAlmostEqual(rows["packed"]["difference"], 0.0025)

    def test_a_gpu_and_its_programs(self):
        self.fake("path/nvidia-smi", "echo 'NVIDIA H100, 570.1'")
        self.fake("path/compute-sanitizer", 'echo "ERROR SUMMARY: 0 errors"')
        self.fake("build/tests/kernels_gelu_test", "exit 1")
        self.fake("build/tests/engine_ops_test", "exit 1")
        self.fake("build/bin/kernels_bench", """echo '{"device": "x"}'; echo '{"row": "gelu", "us": 3}'""")
        self.fake("build/bin/step_bench", """echo '{"pairs_per_s": 5, "options": "'"$*"'"}'""")
        python = self.fake("python", 'touch "$4" 2>/dev/null')
        rows, _ = self.check("steps,kernels,sanitizer", "--python", python, preset="cuda")
        kept = json.loads(self.output.read_text())
        self.assertEqual((kept["gpu"], kept["driver"], kept["build"]),
                         ("NVIDIA H100", "570.1", "warpbert 1, CUDA 13"))
        self.assertEqual(rows["kernels"]["rows"], [{"row": "gelu", "us": 3}])
        self.assertNotIn("--batches", rows["warpbert base fp32"]["options"])  # this python makes none
        self.assertEqual([name for name in rows if "check " in name],
                         ["memcheck engine_ops_test", "memcheck kernels_gelu_test",
                          "racecheck kernels_gelu_test", "synccheck kernels_gelu_test",
                          "initcheck engine_ops_test"])

    def test_refusals(self):
        self.fake("path/nvidia-smi", "exit 9")
        self.assertIn("gpu_check: no GPU here (nvidia-smi names none); "
                      "--preset cpu rehearses in the simulator",
                      self.check("tests", preset="cuda", code=1)[1])
        self.assertIn("gpu_check: --parts: no speed; there are tests, ", self.check("tests,speed", code=1)[1])
        (self.dir / "build/tests/a_test").unlink()
        self.assertIn(f"gpu_check: no test programs in {self.dir}/build/tests",
                      self.check("tests", code=1)[1])

    def test_cudas_libraries_are_found_among_pythons_packages(self):
        lib = self.dir / "nvidia/cu13/lib"
        missing = 'echo "\tlibcublasLt.so.13 => not found"'
        self.fake("ldd", f'case "$LD_LIBRARY_PATH" in {lib}*) ;; *) {missing};; esac')
        python = str(self.fake("python", f"echo {self.dir}/nvidia"))
        with mock.patch.dict("os.environ",
                             {"PATH": f"{self.dir}:/usr/bin:/bin", "LD_LIBRARY_PATH": "/elsewhere"}):
            with self.assertRaisesRegex(SystemExit, "train needs libcublasLt.so.13, .* set LD_LIBRARY_PATH"):
                pack.cuda_library_path("train", python)
            lib.mkdir(parents=True)
            (lib / "libcublasLt.so.13").touch()
            self.assertEqual(pack.cuda_library_path("train", python), f"{lib}:/elsewhere")
            os.environ["LD_LIBRARY_PATH"] = str(lib)
            self.assertEqual(pack.cuda_library_path("train", python), str(lib))  # nothing is missing
            nccl = self.dir / "nvidia/nccl/lib"
            nccl.mkdir(parents=True)
            (nccl / "libnccl.so.2").touch()
            self.assertEqual(pack.cuda_library_path("train", python), f"{nccl}:{lib}")

    def test_a_pack_has_programs_and_their_libraries_and_a_limit(self):
        build = self.dir / "made/cuda"
        (build / "bin").mkdir(parents=True)
        (build / "tests").mkdir()
        shutil.copy(shutil.which("openssl") or shutil.which("bash"), build / "bin/program")  # any dynamic ELF
        (build / "bin/command").symlink_to("program")
        (build / "bin/base.ini").write_text("[data]\n")
        (build / "bin/left_out.txt").write_text("x")
        archive, unpacked = self.dir / "pack.tar.xz", self.dir / "pack"
        with contextlib.redirect_stdout(io.StringIO()):
            pack.pack(build, archive, 64, preset=0)
        subprocess.run(["tar", "xf", archive, "--one-top-level=pack"], cwd=self.dir, check=True)
        names = sorted(f.name for f in (unpacked / "build/cuda/bin").iterdir())
        self.assertEqual(names, ["base.ini", "command", "program"])
        self.assertEqual(os.readlink(unpacked / "build/cuda/bin/command"), "program")
        packed = {f.name for f in (unpacked / "build/cuda/lib").iterdir()}
        self.assertEqual(packed, set(pack.libraries(build / "bin/program")))
        self.assertTrue(packed)
        for name in ("scripts/gpu_check", "scripts/pack.py", "scripts/make_demo_data", "bench/gpu_rows.txt",
                     "bench/peers/peer.py", "bench/peers/batches.py", "bench/peers/rates.py",
                     "configs/demo.ini", "tests/golden/tiny/golden.npz", "tests/programs/programs_test.py"):
            self.assertTrue((unpacked / name).exists(), name)
        with self.assertRaisesRegex(SystemExit, "a .tar.xz is made"):
            pack.pack(build, self.dir / "pack.zip", 64)
        with self.assertRaisesRegex(SystemExit,
                                    r"MiB, more than 0.1; the largest files, in MiB before compression: "):
            pack.pack(build, self.dir / "other.tar.xz", 0.1, preset=0)
        self.assertFalse((self.dir / "other.tar.xz").exists())

    def test_output_of_a_missing_or_failing_program_is_empty(self):
        self.assertEqual(commands.output_of("echo", "x"), "x")
        self.assertEqual((commands.output_of("false"), commands.output_of("no-such-program")), ("", ""))


if __name__ == "__main__":
    unittest.main()
