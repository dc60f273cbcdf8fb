"""`study try`: each hole fails with its sentence, each solution reaches its score.

exercises_test.py STUDY [unittest arguments]
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

STUDY = pathlib.Path(sys.argv.pop(1)).resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "study/exercises"


def line_of(name, text):
    """file:line of the only line of an exercise that holds `text`, as a regular expression."""
    lines = (FOLDER / f"{name}.cu").read_text().splitlines()
    found = [number for number, line in enumerate(lines, 1) if text in line]
    assert len(found) == 1, (name, text, found)
    return re.escape(f"study/exercises/{name}.cu:{found[0]}")


class Exercises(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def attempt(self, *args, code):
        done = subprocess.run([STUDY, "try", *map(str, args)], capture_output=True, text=True, timeout=600)
        self.assertEqual((done.returncode, done.stderr), (code, ""), done.stdout)
        self.assertTrue(done.stdout.endswith("\nnot solved\n" if code else "\nsolved\n"), done.stdout)
        return done.stdout

    def check(self, name, sentence, *scores):
        """The hole says `sentence`; the solution prints exactly `scores` and no problem."""
        number = int(name[:2])
        self.assertIn("// YOUR CODE", (FOLDER / f"{name}.cu").read_text())
        self.assertRegex(self.attempt(number, code=1), sentence)
        lines = self.attempt(number, "--solution", code=0).splitlines()
        self.assertEqual([re.sub(" +", " ", line.strip()) for line in lines[1:-1]], list(scores))

    def changed(self, name, old, new, code):
        """What a solution says in which `new` replaces `old`."""
        text = (FOLDER / f"solutions/{name}.cu").read_text()
        self.assertEqual(text.count(old), 1)
        (self.dir / "copy.cu").write_text(text.replace(old, new))
        return self.attempt(int(name[:2]), "--file", self.dir / "copy.cu", code=code)

    def test_each_exercise_has_a_solution_a_check_and_a_row_in_the_page(self):
        names = sorted(file.stem for file in FOLDER.glob("*.cu"))
        self.assertEqual([int(name[:2]) for name in names], list(range(1, len(names) + 1)))
        for folder, suffix in (("solutions", "cu"), ("checks", "cpp")):
            self.assertEqual(sorted(file.stem for file in (FOLDER / folder).glob(f"*.{suffix}")), names)
        page = (ROOT / "docs/study.md").read_text()
        for name in names:
            self.assertIn(f"(../study/exercises/{name}.cu)", page)
        for file in (ROOT / "docs").rglob("*.md"):
            self.assertNotIn("To try", file.read_text(), file)  # what there is to try is an exercise

    def test_1_guard(self):
        at = line_of("01_guard", "y[i] = ")
        self.check("01_guard",
                   rf"kernel scale_add_kernel, block \(3,0,0\), thread \(232,0,0\), {at}: "
                   r"loads residual\[1000\], but residual has 1000 elements",
                   "sectors 96 of least 96: 1.00, goal 1.00", "barriers 0, goal 0")

    def test_1_wrong_element(self):
        said = self.changed("01_guard", "i >= n", "i >= n - 1", code=1)
        self.assertRegex(said, r"y\[999\] is NaN, expected [-0-9.]+; 1 of 1000 elements are wrong")

    def test_1_that_does_not_compile(self):
        said = self.changed("01_guard", "i >= n", "j >= n", code=1)
        self.assertRegex(said, r"copy.cu:\d+:\d+: error: .j. was not declared")

    def test_2_sectors(self):
        self.check("02_sectors", r"sectors +2560 of least  1280: 2.00, goal 1.00  <- above the goal",
                   "sectors 1280 of least 1280: 1.00, goal 1.00", "barriers 0, goal 0")

    def test_3_warp_sum(self):
        at = line_of("03_warp_sum", "__shfl_xor_sync")
        self.check("03_warp_sum",
                   r"simt: kernel sum_of_eight_kernel, block \(0,0,0\), thread \(31,0,0\): deadlock: "
                   r"no thread can run\n"
                   rf"  threads 0 to 7: wait at __shfl_xor_sync, {at}, mask ffffffff\n",
                   "sectors 2 of least 2: 1.00, goal 1.00", "barriers 0, goal 0")

    def test_4_block_sum(self):
        reads, writes = line_of("04_block_sum", "+= parts"), line_of("04_block_sum", "] = part;")
        self.check("04_block_sum",
                   r"sums\[0\] is NaN, expected -?[.0-9]+; 4 of 4 elements are wrong "
                   r"\(thread order forward, reverse, random\)\n"
                   rf"  race: thread 0 reads at {reads} what thread 32 writes at {writes}, "
                   "and no barrier is between",
                   "sectors 66 of least 66: 1.00, goal 1.00",
                   "bank passes 32 of least 32: 1.00, goal 1.00", "barriers 4, goal 4")

    def test_4_with_one_barrier(self):
        said = self.changed("04_block_sum", "    __syncthreads();  // parts are read", "    //", code=1)
        self.assertRegex(said, r"race: thread 32 writes at \S+ what thread 0 reads at \S+, "
                               r"and no barrier is between")

    def test_4_with_three_barriers(self):
        said = self.changed("04_block_sum", "    __syncthreads();  // all parts",
                            "    __syncthreads(), __syncthreads();  //", code=1)
        self.assertIn("barriers          6, goal 4  <- above the goal\n", said)

    def test_5_banks(self):
        self.check("05_banks", r"bank passes +96 of least    64: 1.50, goal 1.00  <- above the goal",
                   "sectors 288 of least 160: 1.80, goal 1.80", "bank passes 64 of least 64: 1.00, goal 1.00",
                   "barriers 1, goal 1")

    def test_6_softmax(self):
        self.check("06_softmax", r"lse\[0\] is NaN, expected 3[.0-9]+; 3 of 6 elements are wrong",
                   "sectors 4 of least 4: 1.00, goal 1.00", "barriers 0, goal 0")

    def test_7_layer_norm(self):
        self.check("07_layer_norm",
                   r"dx\[0\] is -?[.0-9]+, expected -?[.0-9]+; 1\d\d of 128 elements are wrong",
                   "sectors 30 of least 30: 1.00, goal 1.00", "barriers 0, goal 0")

    def test_8_in_place(self):
        stores, loads = line_of("08_in_place", "dz[c] ="), line_of("08_in_place", "fast_exp")
        self.check("08_in_place",
                   r"dz\[\d+\] is \S+, expected \S+; \d+ of 512 elements are wrong .*\n(.*\n)*"
                   rf"  race: thread \d+ writes at {stores} what thread \d+ reads at {loads}, "
                   "and no barrier is between",
                   "sectors 56 of least 56: 1.00, goal 1.00", "barriers 4, goal 4")

    def test_8_with_the_barrier_after_the_store(self):
        text = "    dz[c] = gradient;"
        said = self.changed("08_in_place", "    __syncthreads();  // the stretch is read\n" + text,
                            text + "\n    __syncthreads();", code=1)
        self.assertRegex(said, r"race: thread \d+ writes at \S+ what thread \d+ reads")

    def test_8_with_two_barriers(self):
        store = "    dz[c] = gradient;"
        said = self.changed("08_in_place", store, store + "\n    __syncthreads();", code=1)
        self.assertIn("barriers          8, goal 4  <- above the goal\n", said)

    def test_9_fragments(self):
        self.check("09_fragments", r"c\[\d+\] is \S+, expected \S+; 2\d\d of 256 elements are wrong",
                   "sectors 576 of least 288: 2.00, goal 2.00", "bank passes 64 of least 64: 1.00, goal 1.00",
                   "barriers 0, goal 0")

    def test_9_with_strides_that_conflict(self):
        for stride, passes, ratio in ((64, 288, "4.50"), (80, 96, "1.50")):
            said = self.changed("09_fragments", "stride = 72", f"stride = {stride}", code=1)
            self.assertIn(f"bank passes   {passes:5} of least    64: {ratio}, goal 1.00  <- above the goal\n",
                          said)
            self.assertNotIn("wrong", said)

    def test_9_with_a_map_that_is_transposed(self):
        said = self.changed("09_fragments", "return lane % 16; }", "return lane % 8 + lane / 16 * 8; }",
                            code=1)
        self.assertRegex(said, r"c\[\d+\] is \S+, expected \S+; \d+ of 256 elements are wrong")

    def test_10_in_flight(self):
        self.check("10_in_flight", r"sums\[0\] is NaN, expected \S+; 128 of 128 elements are wrong",
                   "sectors 336 of least 336: 1.00, goal 1.00",
                   "bank passes 160 of least 160: 1.00, goal 1.00",
                   "barriers 5, goal 5", "in flight 1, goal 1")

    def test_10_with_other_waits(self):
        said = self.changed("10_in_flight", "wait<1>", "wait<0>", code=1)
        self.assertIn("in flight         0, goal 1  <- below the goal\n", said)
        self.assertNotIn("wrong", said)
        said = self.changed("10_in_flight", "wait<1>", "wait<2>", code=1)
        self.assertRegex(said, r"sums\[0\] is NaN, expected \S+; 128 of 128 elements are wrong")

    def test_10_with_the_wait_after_the_barrier(self):
        text = (FOLDER / "solutions/10_in_flight.cu").read_text()
        wait, barrier = (next(line for line in text.splitlines(True) if call in line)
                         for call in ("cp_async_wait<1>", "__syncthreads"))
        said = self.changed("10_in_flight", wait + barrier, barrier + wait, code=1)
        self.assertIn("sums[0] is NaN", said)
        self.assertRegex(said, r"race: thread \d+ reads at \S+ what thread \d+ writes")

    def test_traces_are_written(self):
        self.attempt(4, f"--output={self.dir}/t.json", code=1)
        trace = json.loads((self.dir / "t.json").read_text())
        self.assertEqual({a["name"] for a in trace["arrays"]} & {"sums", "x", "parts"},
                         {"sums", "x", "parts"})
        self.assertGreater(trace["totals"]["races"], 0)
        self.attempt(4, "--solution", f"--output={self.dir}/t.json", code=0)
        totals = json.loads((self.dir / "t.json").read_text())["totals"]
        self.assertEqual(totals["barriers"], 4)  # as printed: no step is after the last one
        self.attempt(1, "--solution", f"--output={self.dir}/t.html", code=0)
        self.assertRegex((self.dir / "t.html").read_text()[:400], "<title>01_guard</title>")

    def test_refusals(self):
        for code, message, *args in (
                (1, "there is no exercise 99; there are 1 to ", 99),
                (1, "none.cu: no such file; copy study/exercises/02_sectors.cu and edit the copy\n", 2,
                 "--file=none.cu"),
                (2, "--solution or --file, not both", 1, "--solution", "--file=x.cu"),
                (2, "--output=x.txt: neither .html nor .json", 1, "--output=x.txt")):
            done = subprocess.run([STUDY, "try", *map(str, args)], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (code, ""))
            self.assertTrue(done.stderr.startswith(f"study: error: {message}"), done.stderr)


if __name__ == "__main__":
    unittest.main()
