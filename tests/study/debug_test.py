"""scripts/debug: gdb stops at a thread of a kernel; `lanes` and `waits` see the others.

debug_test.py SCRIPTS_DIR STUDY [unittest arguments]
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPTS, STUDY = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(2))
ROOT = SCRIPTS.parent


class Debug(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name) / "a copy"  # whose build/cpu has the program under test
        (self.root / "build/cpu/bin").mkdir(parents=True)
        (self.root / "scripts").symlink_to(SCRIPTS)
        (self.root / "build/cpu/bin/study").symlink_to(STUDY)

    def debug(self, *args, commands=""):
        script = self.root / "scripts/debug"
        return subprocess.run(["sh", script, *args], input=commands, capture_output=True, text=True, timeout=300)

    @unittest.skipUnless(shutil.which("gdb"), "gdb is not on PATH")
    def test_it_stops_at_the_thread_and_shows_the_other_lanes(self):
        source = (ROOT / "kernels/layer_norm_backward.cu").read_text().splitlines()
        line = 1 + next(i for i, text in enumerate(source) if "mean_gx[k] = warp_sum(product)" in text)
        done = self.debug("layer_norm_backward", "--block=2", "--thread", "63", "--hidden", "256", commands=f"""
print blockIdx.x * 1000 + threadIdx.x
waits
break layer_norm_backward.cu:{line} if blockIdx.x == 2 && threadIdx.x == 63
continue
lanes k * 100 + threadIdx.x * 0
lanes product
waits
kill
""")
        if "ptrace: Operation not permitted" in done.stdout + done.stderr:
            self.skipTest("gdb may not trace programs here")
        self.assertIn("$1 = 2063\n", done.stdout, done.stderr)
        lanes = re.findall(r"^(.) lane +(\d+), thread +(\d+): (\S+)  \(line (\d+)\)$|^\(gdb\) product in (.*)$",
                           done.stdout, re.M)
        values = [found for found in lanes if found[1]]
        self.assertEqual(len(values), 64, done.stdout)
        self.assertEqual([(int(lane), int(thread)) for _, lane, thread, *_ in values[:32]],
                         [(i, 32 + i) for i in range(32)])
        self.assertEqual([mark for mark, *_ in values[:32]], [" "] * 31 + ["*"])
        self.assertEqual({value for _, _, _, value, *_ in values[:32]}, {"0"})
        self.assertGreater(len({value for _, _, _, value, *_ in values[32:]}), 20)  # products differ
        self.assertRegex(done.stdout,
                         r"threads 32 to 62: wait at warp_sum, kernels/layer_norm_backward\.cu:\d+, mask ffffffff\n"
                                      r"thread 63: this thread\nthreads 64 to 127: not started\n")

    def test_mistakes_are_named(self):
        self.assertIn("usage: debug KERNEL", self.debug().stderr)
        done = self.debug("layer_norm", "--block", "2")
        self.assertEqual((done.returncode, done.stderr),
                         (1, "study: error: there is no kernel 'layer_norm'; `study list` prints all 30\n"))
        done = self.debug("clip", "--thread")
        self.assertEqual(done.returncode, 2)
        self.assertIn("debug: error: --thread: a value is missing; usage:", done.stderr)
        self.assertIn("are numbers", self.debug("clip", "--block", "x").stderr)
        (self.root / "build/cpu/bin/study").unlink()
        done = self.debug("clip")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr,
                         r"^debug: error: .*/build/cpu/bin/study is missing; scripts/build cpu makes it\n$")


if __name__ == "__main__":
    unittest.main()
