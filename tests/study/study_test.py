"""The program `study`: names, counts, races and messages.

study_test.py STUDY STUDY_BROKEN [unittest arguments]
"""
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

STUDY, BROKEN = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(2))
ROOT = pathlib.Path(__file__).resolve().parents[2]
BERT_BASE = ("--tokens=992", "--pairs=64", "--targets=166", "--hidden=768", "--heads=12", "--vocabulary=6413")

# Sectors / least that differ from those of nvcc's PTX by more than 0.02, and why.
DIFFERENT = {
    "layer_norm_backward": "nvcc loads gamma once for two rows, the source says twice",
    "add_dropout_norm_backward": "nvcc loads gamma once for two rows, the source says twice",
    "embedding_backward_word_finish": "blocks differ: most return at once",
    "sum_losses": "nvcc loads one field of a Target, the unoptimized kernel two",
}


def run(*args, program=STUDY):
    return subprocess.run([program, *map(str, args)], capture_output=True, text=True, timeout=600)


class Study(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def trace(self, *args, program=STUDY):
        done = run("trace", *args, f"--output={self.dir}/t.json", program=program)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads((self.dir / "t.json").read_text())

    def test_list_prints_every_kernel_of_the_sources(self):
        names = set()
        for file in (ROOT / "kernels").glob("*.cu"):
            names |= set(re.findall(r"__global__[^;{]*?\b(\w+)_kernel\(", file.read_text()))
        done = run("list")
        self.assertEqual((done.returncode, done.stderr, done.stdout.splitlines()), (0, "", sorted(names)))

    def check_counts(self, file, *options):
        """A kernel or a compiler that changed may change these counts: look at the trace, then store the new
        output."""
        done = run("count", *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, (ROOT / "tests/study" / file).read_text())

    def test_counts_of_every_kernel_in_bf16(self):
        self.check_counts("counts_bf16.txt")

    def test_counts_of_every_kernel_in_fp32(self):
        self.check_counts("counts_fp32.txt", "--fp32")

    def test_costs_of_every_rung(self):
        """As of check_counts: look at the new costs, then store them, here and in docs/study.md."""
        for name in ("squared_norm", "layer_norm_backward", "cross_entropy", "attention_forward"):
            done = run("ladder", name)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(f"### {name}\n```\n{done.stdout}```\n", (ROOT / "docs/study.md").read_text())
        self.refused(1, "there is no ladder x; there are: attention_forward, cross_entropy, "
                        "layer_norm_backward, squared_norm",
                     "ladder", "x")

    def test_no_shipped_kernel_races(self):
        for file in ("counts_bf16.txt", "counts_fp32.txt"):
            lines = (ROOT / "tests/study" / file).read_text().splitlines()[1:]
            self.assertEqual({line.split()[-1] for line in lines}, {"0"})

    def test_ratios_agree_with_those_of_the_compiled_kernels(self):
        page = (ROOT / "docs/benchmarks.md").read_text()
        counts = page.split("<!-- begin counts -->")[1].split("<!-- end counts -->")[0]
        compiled = {}
        for line in counts.splitlines():
            cells = [cell.strip() for cell in line.split("|")]
            kernel = re.match(r"`(\w+)_kernel", cells[2]) if len(cells) > 10 else None
            if kernel:
                compiled.setdefault(kernel[1], (cells[8], cells[9]))
        self.assertGreater(len(compiled), 25)
        done = run("count", *BERT_BASE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        compared = 0
        for line in done.stdout.splitlines()[1:]:
            name, *numbers = line.split()
            if name not in compiled:
                continue
            *_, sectors, least_sectors, passes, least_passes, _ = map(int, numbers)
            theirs = compiled[name]
            if theirs[1]:
                self.assertAlmostEqual(passes / least_passes, float(theirs[1]), delta=0.006, msg=name)
            else:
                self.assertEqual(least_passes, 0, name)
            apart = abs(sectors / least_sectors - float(theirs[0]))
            self.assertEqual(apart > 0.025, name in DIFFERENT,
                             f"{name}: {sectors / least_sectors:.3f}, PTX {theirs[0]}")
            compared += 1
        self.assertGreater(compared, 25)

    def test_a_trace_holds_lines_lanes_and_values(self):
        t = self.trace("layer_norm_backward", "--block=2")
        self.assertEqual((t["kernel"], t["at"], t["block"]), ("layer_norm_backward", [2, 0, 0], [128, 1, 1]))
        arrays = {a["name"]: a for a in t["arrays"]}
        self.assertEqual({n: arrays[n]["type"] for n in ("dx", "dy", "x", "gamma", "rows.count", "sums")},
                         {"dx": "bf16", "dy": "bf16", "x": "bf16", "gamma": "float", "rows.count": "int",
                          "sums": "float"})
        self.assertTrue(arrays["sums"]["shared"])
        files = list(t["sources"])
        kernel = (ROOT / "kernels/layer_norm_backward.cu").read_text().split("\n")
        for step in t["steps"]:
            file, line = t["places"][step["p"]][0]
            self.assertEqual(files[file], "kernels/layer_norm_backward.cu")
            self.assertTrue(kernel[line - 1].strip())
            active = bin(step["m"]).count("1")
            for key in ("o", "v", "x", "f"):
                if key in step:
                    self.assertEqual(len(step[key]), active, step)
        loads = [s for s in t["steps"] if s["k"] == "load" and t["arrays"][s["a"]]["name"] == "rows.count"]
        self.assertEqual({value for s in loads for lane in s["v"] for value in lane}, {40})
        sums = [s for s in t["steps"] if s.get("op") == "warp_sum"]
        for s in sums:
            self.assertAlmostEqual(sum(v[0] for v in s["v"]), s["x"][0][0],
                                   delta=0.02 * max(1, sum(abs(v[0]) for v in s["v"])))
            self.assertEqual(len({x[0] for x in s["x"]}), 1)

    def test_reductions_of_doubles_and_of_groups_of_lanes(self):
        sums = [s for s in self.trace("squared_norm")["steps"] if s.get("op") == "warp_sum"]
        self.assertEqual([len(s["x"]) for s in sums], [32])
        total = math.fsum(v[0] for v in sums[0]["v"])
        self.assertGreater(total, 0)
        for x in sums[0]["x"]:
            self.assertAlmostEqual(x[0], total, delta=1e-4 * total)  # five digits
        maxima = [s for s in self.trace("attention_forward")["steps"] if s.get("op") == "warp_max"]
        self.assertGreater(len(maxima), 0)
        for step in maxima:
            for group in range(0, 32, 4):
                largest = max(v[0] for v in step["v"][group:group + 4])
                self.assertEqual([x[0] for x in step["x"][group:group + 4]], [largest] * 4)

    def test_stored_values_are_those_that_arrive(self):
        t = self.trace("cast")  # y = x rounded to bf16, four values a lane and access
        stores = [s for s in t["steps"] if s["k"] == "store"]
        loads = [s for s in t["steps"] if s["k"] == "load"]
        for store, load in zip(sorted(stores, key=lambda s: (s["w"], s["t"])),
                               sorted(loads, key=lambda s: (s["w"], s["t"]))):
            for x, y in zip(load["v"], store["v"], strict=True):
                for a, b in zip(x, y, strict=True):
                    self.assertAlmostEqual(a, b, delta=abs(a) / 128)

    def test_copies_are_in_flight_until_their_wait(self):
        t = self.trace("attention_forward")
        copies = [s for s in t["steps"] if s["k"] == "copy"]
        self.assertGreater(len(copies), 8)
        for copy in copies:
            wait = t["steps"][copy["l"]]
            self.assertEqual((wait["k"], wait["w"]), ("wait", copy["w"]))
            self.assertGreater(wait["t"], copy["t"])

    def test_fragments_multiply(self):
        t = self.trace("attention_forward")
        for step in [s for s in t["steps"] if "mma" in s][:20]:
            m = step["mma"]
            a = lambda r, k: m["a"][r % 8 * 4 + k % 8 // 2][2 * (r // 8 + 2 * (k // 8)) + k % 2]
            b = lambda k, n: m["b"][n * 4 + k % 8 // 2][2 * (k // 8) + k % 2]
            at = lambda name, r, n: m[name][r % 8 * 4 + n // 2][2 * (r // 8) + n % 2]
            for r in range(16):
                for n in range(8):
                    terms = [a(r, k) * b(k, n) for k in range(16)]
                    self.assertAlmostEqual(at("d", r, n), at("c", r, n) + sum(terms),
                                           delta=0.01 * (1 + sum(map(abs, terms))))

    @unittest.skipUnless(shutil.which("gdb"), "gdb is not on PATH")
    def test_variables_of_all_lanes_at_barriers(self):
        done = run("trace", "layer_norm_backward", "--block=2", "--variables", f"--output={self.dir}/t.json")
        if "ptrace: Operation not permitted" in done.stderr:
            self.skipTest("gdb may not trace programs here")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        t = json.loads((self.dir / "t.json").read_text())
        barriers = {str(i): s for i, s in enumerate(t["steps"]) if s["k"] == "barrier"}
        self.assertEqual(t["variables"].keys(), barriers.keys())
        for i, table in t["variables"].items():
            self.assertEqual(table["hidden"], ["256"] * 32)
            first = str(16 + 2 * barriers[i]["w"])  # of a warp's two rows
            self.assertEqual(table["first"], [first] * 32)

    def test_a_deleted_barrier_is_a_race(self):
        self.assertEqual(self.trace("layer_norm_backward")["totals"]["races"], 0)
        t = self.trace("layer_norm_backward", program=BROKEN)
        self.assertEqual(t["totals"]["barriers"], 0)
        races = [s for s in t["steps"] if "r" in s]
        self.assertEqual(len(races), t["totals"]["races"])
        self.assertGreater(len(races), 20)
        for step in races:
            self.assertEqual(t["arrays"][step["a"]]["name"], "sums")
            for lane, thread, other in step["r"]:
                self.assertNotEqual(step["w"] * 32 + lane, thread)
                self.assertIn("store", (step["k"], t["steps"][other]["k"]))

    # ---- Messages ------------------------------------------------------------------------------------------
    def refused(self, code, message, *args):
        done = run(*args)
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (code, "", f"study: error: {message}\n"))

    def test_unknown_names_are_refused(self):
        out = f"--output={self.dir}/t.html"
        self.refused(1,
                     "there is no kernel 'layer_norm_bakward'; did you mean layer_norm_backward?; "
                     "`study list` prints all 30",
                     "trace", "layer_norm_bakward", out)
        self.refused(1, "there is no kernel 'x'; `study list` prints all 30", "count", "x")
        self.refused(2, "no command 'tarce'; did you mean trace?; there are list, trace, count, page, "
                        "try, ladder, run", "tarce")

    def test_blocks_outside_of_the_grid_are_refused(self):
        out = f"--output={self.dir}/t.html"
        self.refused(1, "block (6,0,0) is outside of the grid (6,1,1) of layer_norm_backward at these sizes",
                     "trace", "layer_norm_backward", "--block=6", out)
        self.refused(1, "block (0,0,1) is outside of the grid (4,3,1) of attention_forward at these sizes",
                     "trace", "attention_forward", "--block=0,0,1", out)
        self.refused(2, "--block: at most three numbers, X,Y,Z", "trace", "clip", "--block=0,0,0,0", out)
        self.assertFalse((self.dir / "t.html").exists())

    def test_sizes_are_checked(self):
        out = f"--output={self.dir}/t.html"
        self.refused(2, "--hidden=100: a multiple of 8 up to 1024 is needed",
                     "trace", "clip", "--hidden=100", out)
        self.refused(2, "--pairs=41: more pairs than tokens (40)", "trace", "clip", "--pairs=41", out)
        self.refused(1, "attention_backward_query is not launched at these sizes: "
                        "it takes more than 64 tokens a pair",
                     "trace", "attention_backward_query", "--tokens=40", out)

    def test_what_a_launcher_refuses_is_said(self):
        done = run("trace", "attention_forward", "--heads=3", f"--output={self.dir}/t.html")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("study: error: attention_forward: head_size must be 16, 32, 64 or 128", done.stderr)

    def test_a_block_of_too_many_steps_is_refused(self):
        done = run("trace", "attention_backward", "--fp32", "--tokens=320", "--pairs=1",
                   f"--output={self.dir}/t.html")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"^study: error: block \(0,0,0\) of attention_backward_kernel<float, "
                                      r"64, false> takes \d+ warp steps, more than a page shows \(20000\); "
                                      r"choose smaller sizes\n$")

    def test_the_order_of_threads_changes_no_count(self):
        names = "layer_norm_backward", "attention_backward", "sum", "count_differences"
        outputs = {subprocess.run([STUDY, "count", *names], capture_output=True, text=True, check=True,
                                  env={**os.environ, "SIMT_ORDER": order}).stdout
                   for order in ("forward", "reverse", "random")}
        self.assertEqual(len(outputs), 1)

    def test_output_is_checked(self):
        self.refused(2, "--output=t.txt: neither .html nor .json", "trace", "clip", "--output=t.txt")
        self.refused(2, "one kernel at a time; `study page` shows two traces side by side", "trace", "clip",
                     "cast", "--output=t.html")

    def test_files_that_are_no_traces_are_refused(self):
        no_trace = "no trace; `study trace KERNEL --output FILE.json` writes one"
        too_deep = "its objects and arrays are nested more than 100 deep"
        trace = '"format": 1, "kernel": "cast", "steps": []'
        for text, why in (("", no_trace), ("{}", no_trace), ("{" + trace, no_trace),
                          ("[{" + trace + "}]", no_trace), ("{" + trace.replace("1", '"1"') + "}", no_trace),
                          ("{" + trace.replace('"cast"', "7") + "}", no_trace),
                          ("{" + trace.replace("[]", "{}") + "}", no_trace),
                          ("{" + trace + ', "steps": []}',
                           "holds the key 'steps' more than once; keep one of them"),
                          ("[" * 100_000, too_deep),
                          ("{" + trace.replace("[]", "[" * 100_000 + "]" * 100_000) + "}", too_deep)):
            (self.dir / "no.json").write_text(text)
            with self.subTest(text=text[:60]):
                self.refused(1, f"{self.dir}/no.json: {why}", "page", self.dir / "no.json",
                             f"--output={self.dir}/t.html")
        self.assertFalse((self.dir / "t.html").exists())

    def test_without_addr2line_the_package_is_named(self):
        done = subprocess.run([STUDY, "trace", "clip", f"--output={self.dir}/t.html"], capture_output=True,
                              text=True, env={"PATH": str(self.dir)})
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr,
                         r"^study: error: addr2line, which finds source lines, does not run.*"
                         r"apt-get install binutils\)\n$")


if __name__ == "__main__":
    unittest.main()
