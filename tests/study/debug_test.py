"""scripts/debug: gdb stops at a thread of a kernel; `lanes`, `fragment` and `waits` see the others; values
are printed as numbers.

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

VALUES = """
#include "engine/tensor.h"
using namespace warpbert;
int main() {
  const int count = 2;
  bf16 halves[3 * 4] = {{0x3f80}, {0xbfa0}, {0x7f80}, {0x7fc0}, {0x3c00}};
  float floats[3 * 8] = {0.5f, -1.25f, 1e-6f};
  float one = 7;
  const View bytes = kernels::view(halves, {3, &count}, 4);
  const View part = {floats, DType::f32, {3, nullptr}, 4, 8};
  const View scalar = kernels::view(&one, {1, nullptr}, 1);
  const View nowhere = kernels::view((float*)16, {1, (const int*)16}, 1);
  TensorData data = {.name = "gelu", .value = bytes, .grad = part, .arena = nullptr};
  Tensor tensor(&data), none;
  data.grad_written = true;
  return 0;
}
"""


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
        return subprocess.run(["sh", script, *args], input=commands, capture_output=True, text=True,
                              timeout=300)

    @unittest.skipUnless(shutil.which("gdb"), "gdb is not on PATH")
    def test_it_stops_at_the_thread_and_shows_the_other_lanes(self):
        source = (ROOT / "kernels/layer_norm_backward.cu").read_text().splitlines()
        line = 1 + next(i for i, text in enumerate(source) if "mean_gx[k] = warp_sum(product)" in text)
        done = self.debug("layer_norm_backward", "--block=2", "--thread", "63", "--hidden", "256",
                          commands=f"""
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
        lanes = re.findall(r"^(.) lane +(\d+), thread +(\d+): (\S+)  \(line (\d+)\)$"
                           r"|^\(gdb\) product in (.*)$", done.stdout, re.M)
        values = [found for found in lanes if found[1]]
        self.assertEqual(len(values), 64, done.stdout)
        self.assertEqual([(int(lane), int(thread)) for _, lane, thread, *_ in values[:32]],
                         [(i, 32 + i) for i in range(32)])
        self.assertEqual([mark for mark, *_ in values[:32]], [" "] * 31 + ["*"])
        self.assertEqual({value for _, _, _, value, *_ in values[:32]}, {"0"})
        self.assertGreater(len({value for _, _, _, value, *_ in values[32:]}), 20)  # products differ
        self.assertRegex(done.stdout,
                         r"threads 32 to 62: wait at warp_sum, kernels/layer_norm_backward\.cu:\d+, "
                         r"mask ffffffff\n"
                         r"thread 63: this thread\nthreads 64 to 127: not started\n")

    def gdb(self, *args, commands):
        command = ["gdb", "-q", "-nx", "-x", SCRIPTS / "printers.py", "-ex", "set width 0", *args]
        done = subprocess.run(command, input=commands + "\nkill\n", capture_output=True, text=True,
                              timeout=300)
        if "ptrace: Operation not permitted" in done.stdout + done.stderr:
            self.skipTest("gdb may not trace programs here")
        return done.stdout + done.stderr

    @unittest.skipUnless(shutil.which("gdb") and shutil.which("g++"), "gdb or g++ is not on PATH")
    def test_values_are_printed_as_numbers(self):
        (self.root / "values.cpp").write_text(VALUES)
        compiler = ["g++", "-std=c++20", "-g", f"-I{ROOT}"]
        subprocess.run([*compiler, "values.cpp", "-o", "values"], cwd=self.root, check=True)
        line = 1 + next(i for i, text in enumerate(VALUES.splitlines()) if "return 0" in text)
        names = "halves[1] halves[3] halves[4] bytes part scalar nowhere tensor none".split()
        said = self.gdb(self.root / "values", commands=f"break values.cpp:{line - 1}\nrun\n"
                        + "\n".join(f"print {name}" for name in names) + "\nnext\nprint tensor")
        half = "bf16 [2 of 3, 4]: {1, -1.25, inf, nan, ...}"
        single = "f32 [3, 4], ld 8: {0.5, -1.25, 9.99999997e-07, 0, ...}"
        self.assertEqual(re.findall(r"\$\d+ = (.*)", said),
                         ["-1.25", "nan", "0.0078125", half, single, "f32 [1, 1]: {7}",
                          "f32 [? of 1, 1]: unreadable at 0x10", f'"gelu" {half}', "no tensor",
                          f'"gelu" {half}; gradient {single}'], said)

    @unittest.skipUnless(shutil.which("gdb"), "gdb is not on PATH")
    def test_views_of_a_launcher_and_bf16_of_a_kernel_are_printed(self):
        said = self.gdb("--args", STUDY, "run", "bias_gelu_backward", commands="""
break warpbert::kernels::bias_gelu_backward
break bias_gelu_backward_kernel<warpbert::bf16> if threadIdx.x == 0 && blockIdx.x == 0 && blockIdx.y == 0
run
print x
continue
print x[0]
print x[7]""")
        view, first, last = re.findall(r"\$\d = (.*)", said)
        self.assertRegex(view, r"^bf16 \[\d+ of \d+, 1024\]: \{.*, \.\.\.\}$")
        values = view[view.index("{") + 1:-1].split(", ")
        self.assertEqual((values[0], values[7], len(values)), (first, last, 9))
        self.assertLess(abs(float(first)), 10)

    @unittest.skipUnless(shutil.which("gdb"), "gdb is not on PATH")
    def test_fragments_are_printed_as_matrices(self):
        """In the second turn of `multiply`: its operands, and c, which is x·yᵀ of the first 16 columns."""
        source = (ROOT / "kernels/attention_tile.cuh").read_text().splitlines()
        line = 1 + next(i for i, text in enumerate(source) if "mma_m16n8k16_bf16(c[0], a" in text)
        columns = 72  # tile_stride<bf16, 64>
        tiles = "\n".join(f"print *({tile} + {columns * row})@32" for tile in "xy" for row in range(16))
        done = self.debug("attention_forward", commands=f"""
tbreak attention_tile.cuh:{line} if threadIdx.x == 31 && k == 16
continue
fragment A a
fragment B b
fragment C c[0]
fragment C c[1]
fragment A c[0]
fragment A nothing
fragment c
set width 0
{tiles}
kill
""")
        said = done.stdout + done.stderr
        if "ptrace: Operation not permitted" in said:
            self.skipTest("gdb may not trace programs here")
        titles = re.findall(r"(\S+) in .*multiply<64>.*, warp 0: (\w), 16 x (\d+)\n", said)
        self.assertEqual(titles, [("a", "A", "16"), ("b", "B", "16"), ("c[0]", "C", "8"), ("c[1]", "C", "8")],
                         said)
        rows = [[float(x) for x in row.split()] for row in re.findall(r"^row +\d+:(.*)$", said, re.M)]
        a, b, left, right = (rows[i:i + 16] for i in range(0, 64, 16))
        tile = [[float(x) for x in row.split(", ")] for row in re.findall(r"\$\d+ = \{(.*)\}", said)]
        x, y = tile[:16], tile[16:]
        product = [[sum(p * q for p, q in zip(row[:16], column[:16])) for column in y] for row in x]
        for found, expected in ((a, [row[16:] for row in x]), (b, list(zip(*(row[16:] for row in y)))),
                                ([c0 + c1 for c0, c1 in zip(left, right)], product)):
            for row, values in zip(found, expected, strict=True):
                for value, other in zip(row, values, strict=True):
                    self.assertAlmostEqual(value, other, delta=1e-3 * max(1, abs(other)))
        self.assertGreater(len({value for row in product for value in row}), 200)
        self.assertIn("c[0] is no A, of which a lane has unsigned int[4]\n", said)
        self.assertIn('No symbol "nothing" in current context.\n', said)
        self.assertIn("usage: fragment A|B|C EXPR\n", said)

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
