"""The page of a trace as a browser draws it: steps, lanes, sectors, banks, fragments, races, traces, widths.

page_browser_test.py STUDY STUDY_BROKEN [unittest arguments]
"""
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

STUDY, BROKEN = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(2))
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# A frame is as wide as it is told to be; windows of headless Chromium are at least 500 pixels wide. After
# each of `keys` ("" first: as opened) the page tells what it shows. "click CSS" clicks.
FRAME = """<!DOCTYPE html><html><body>
<iframe style="border: 0; width: %(width)spx; height: 1600px" srcdoc="%(page)s"></iframe>
<pre id="seen"></pre>
<script>
const keys = %(keys)s, errors = [];
const text = node => node.textContent.trim(), all = (root, css) => [...root.querySelectorAll(css)];
function look(view) {
  const shown = css => all(view, css).filter(card => !card.hidden);
  return {now: text(view.querySelector(".now")), what: text(view.querySelector(".what")),
    race: text(view.querySelector(".race")), detail: text(view.querySelector(".detail")),
    lanes: all(view, ".lanes button").map(text), off: all(view, ".lanes .off").length,
    lines: all(view, ".lanes button").map(b => new Set(all(b, "span").map(value => value.offsetTop)).size),
    cut: all(view, ".lanes span").filter(value => value.scrollWidth > value.clientWidth + 1).map(text),
    on: all(view, ".source .on").map(text), calls: all(view, ".source .call").map(text),
    cards: shown(".card").map(card => [...card.classList].at(-1)),
    sectors: shown(".sectors").map(c => [text(c.querySelector("h3")), all(c, ".empty").length])[0],
    banks: shown(".banks").map(c =>
      [text(c.querySelector("h3")), Number(c.querySelector("svg").dataset.passes)])[0],
    fragments: shown(".fragments").map(c => all(c, "figure").map(f =>
      [text(f.querySelector("figcaption")), all(f, ".number").length]))[0],
    flight: shown(".flight").map(c => all(c, "li").map(text))[0],
    shared: shown(".shared").map(c => all(c, "figcaption").map(text))[0],
    variables: shown(".variables").map(c =>
      all(c, "tr").slice(1).map(row => all(row, "th, td").map(text)))[0],
    pressed: all(view, ".warps [aria-pressed=true]").map(text)};
}
addEventListener("load", async () => {
  const frame = document.querySelector("iframe"), page = frame.contentDocument;
  frame.contentWindow.addEventListener("error", e => errors.push(e.message));
  frame.contentWindow.addEventListener("unhandledrejection", e => errors.push(String(e.reason)));
  for (let i = 0; i < 400 && !page.body.dataset.ready; i++) await new Promise(r => setTimeout(r, 10));
  const states = [];
  for (const key of keys) {
    if (key.startsWith("click ")) page.querySelector(key.slice(6)).click();
    else if (key)
      page.body.dispatchEvent(new frame.contentWindow.KeyboardEvent("keydown",
        {key, bubbles: true, cancelable: true}));
    states.push(all(page, ".view").map(look));
  }
  document.getElementById("seen").textContent = JSON.stringify({states, errors, title: page.title,
    ready: page.body.dataset.ready, width: page.defaultView.innerWidth,
    scroll: page.documentElement.scrollWidth,
    tiles: all(page, ".view").map(v => all(v, ".tiles li").map(t =>
      [text(t.querySelector("b")), text(t.querySelector("span"))])),
    bad: all(page, ".tiles .bad").map(text), rings: all(page, ".strip .raced").length,
    unnamed: all(page, "button, input").filter(n =>
      !text(n) && !n.ariaLabel && !n.title && !n.closest("label")).length,
    visible: page.body.innerText});
});
</script></body></html>"""


@unittest.skipUnless(BROWSER, "neither chromium, chromium-browser nor google-chrome is on PATH")
class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.dir = pathlib.Path(cls.folder.name)

    def trace(self, name, *args, program=STUDY):
        """The page and the JSON of a trace."""
        files = [self.dir / f"{name}.{kind}" for kind in ("html", "json")]
        for file in files:
            done = subprocess.run([program, "trace", *args, f"--output={file}"], capture_output=True,
                                  text=True, timeout=300)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        return files[0], json.loads(files[1].read_text())

    def browse(self, address):
        done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--virtual-time-budget=20000",
                               "--window-size=1600,1800",
                               f"--user-data-dir={self.dir}/profile", "--dump-dom", address],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300,
                              env={k: v for k, v in os.environ.items() if k != "LD_PRELOAD"})
        return done.stdout, done.stderr

    def see(self, page, keys=("",), width=1400):
        frame = self.dir / "frame.html"
        frame.write_text(FRAME % {"width": width, "keys": json.dumps(keys),
                                  "page": html.escape(page.read_text())})
        out, errors = self.browse(frame.as_uri())
        found = re.search(r'<pre id="seen">(.+?)</pre>', out, re.S)
        self.assertTrue(found, f"the page threw an error:\n{errors[-2000:]}")
        seen = json.loads(html.unescape(found[1]))
        self.assertEqual((seen["errors"], seen["ready"], seen["unnamed"]), ([], "1", 0))
        self.assertLessEqual(seen["scroll"], width, "wider than its window")
        self.assertIsNone(re.search(r"\b(undefined|null|Infinity)\b", seen["visible"]), seen["visible"])
        return seen

    def test_every_step_of_a_warp_is_drawn_as_it_was_counted(self):
        page, t = self.trace("ln", "layer_norm_backward", "--block=2")
        seen = self.see(page, ["", "ArrowDown", "ArrowDown", *["ArrowRight"] * (t["times"] - 1)])
        self.assertIn("Order and counts, not time", seen["visible"])
        totals = t["totals"]
        ratio = lambda pair: f"{pair[0] / pair[1]:.2f}"
        self.assertEqual(seen["tiles"],
                         [[[str(totals["steps"]), "warp steps"], [str(totals["barriers"]), "block barriers"],
                                          [ratio(totals["sectors"]),
                                           "sectors, {} of least {}".format(*totals["sectors"])],
                                          [ratio(totals["passes"]),
                                           "bank passes, {} of least {}".format(*totals["passes"])],
                                          ["0", "steps race"]]])
        files, by_time = list(t["sources"]), {s["t"]: s for s in t["steps"] if s["w"] == 2}
        for time, (view,) in enumerate(seen["states"][2:]):
            step = by_time[time]
            self.assertEqual((view["now"], view["pressed"]), (f"time {time} of {t['times'] - 1}", ["warp 2"]))
            self.assertEqual(view["off"], 32 - bin(step["m"]).count("1"))
            file, line = t["places"][step["p"]][-1]
            self.assertEqual(view["on"],
                             [f"{line}{t['sources'][files[file]].splitlines()[line - 1]}".strip()])
            if "sec" in step:
                used, least = step["sec"]
                self.assertEqual(view["sectors"],
                                 [f"Coalescing: {used} sector{'s' * (used != 1)} of 32 bytes, "
                                  f"{least} would do", used])
            else:
                self.assertIsNone(view.get("sectors"))
            if "pas" in step:
                self.assertEqual(view["banks"][1], step["pas"][0])
                self.assertTrue(view["banks"][0].endswith(f"{step['pas'][1]} would do"))
            if step["k"] in ("load", "store"):
                self.assertIn(f"{step['k']} {step['b']} bytes a lane", view["what"])
                self.assertIn(t["arrays"][step["a"]]["name"], view["what"])
                self.assertTrue(view["lanes"][0].startswith(f"0 +{step['o'][0]}"))

    def test_keys_go_to_barriers_ends_and_lines(self):
        page, t = self.trace("ln", "layer_norm_backward", "--block=2")
        barrier = next(s["t"] for s in t["steps"] if s["k"] == "barrier" and s["w"] == 0)
        states = self.see(page, ["", "b", "ArrowLeft", "End", "Home", "ArrowUp", "l", "click .next",
                                 "click .previous", "click .lanes button:nth-child(6)"])["states"]
        times = [int(view["now"].split()[1]) for (view,) in states]
        self.assertEqual(times[:6], [0, barrier, barrier - 1, t["times"] - 1, 0, 0])
        self.assertGreater(times[6], 0)
        self.assertEqual(times[7:9], [times[6] + 1, times[6]])
        self.assertIn("waits until all threads of the block are here", states[1][0]["what"])
        self.assertIn("lane 5, thread 5", states[9][0]["detail"])
        self.assertIn("2048 of 2048 words written", states[3][0]["shared"][0])

    def test_a_link_opens_at_its_step(self):
        page, t = self.trace("ln", "layer_norm_backward", "--block=2")
        out, _ = self.browse(page.as_uri() + "#t=24&w=2")
        self.assertRegex(out, rf'<output class="now">time 24 of {t["times"] - 1}</output>')
        self.assertRegex(out, r'aria-live="polite">Warp 2: ')

    def test_copies_fragments_and_shared_memory(self):
        page, t = self.trace("at", "attention_forward")
        seen = self.see(page, ["", *["ArrowRight"] * (t["times"] - 1)])
        by_time = {s["t"]: s for s in t["steps"] if s["w"] == 0}
        last_copy = max(s["t"] for s in t["steps"] if s["k"] == "copy" and s["w"] == 0)
        wait = next(s["t"] for s in t["steps"] if s["k"] == "wait" and s["w"] == 0)
        states = [view for (view,) in seen["states"]]
        self.assertRegex(states[last_copy]["flight"][0],
                         rf"^warp 0, group 0: \d+ bytes since time \d+, awaited at time {wait}$")
        self.assertIn("in flight", states[last_copy]["shared"][0])
        self.assertIsNone(states[wait].get("flight"))
        self.assertNotIn("in flight", states[wait]["shared"][0])
        for time, step in by_time.items():
            if "mma" in step:
                self.assertEqual(states[time]["fragments"],
                                 [["a, 16 × 16", 256], ["b, 16 × 8", 128], ["c, 16 × 8", 128],
                                  ["d, 16 × 8", 128]])
            elif step.get("op", "").startswith("ldmatrix"):
                self.assertEqual([n for _, n in states[time]["fragments"]], [64] * 4)
                self.assertEqual(states[time]["banks"][1], 4)
        self.assertTrue(any("ldmatrix_x4_trans" in view["what"] for view in states))

    def test_a_race_is_shown_and_said(self):
        page, t = self.trace("race", "layer_norm_backward", program=BROKEN)
        seen = self.see(page, ["", "r"])
        races = t["totals"]["races"]
        self.assertEqual((seen["bad"], seen["rings"]), ([f"{races}steps race"], races))
        self.assertEqual(seen["states"][0][0]["race"], "")
        self.assertRegex(seen["states"][1][0]["race"],
                         r"^Race: lane \d+ \(thread \d+\) (reads|writes) what thread \d+ "
                         r"(reads|writes) at kernels/vector\.cuh:\d+, called from "
                         r".*/layer_norm_backward\.cu:\d+, time \d+, and no barrier is between them\. "
                         r"On a GPU either may come first\.")

    @unittest.skipUnless(shutil.which("gdb"), "gdb is not on PATH")
    def test_variables_are_shown_at_barriers(self):
        page, t = self.trace("variables", "cross_entropy", "--variables")
        at, elsewhere = (view for (view,) in self.see(page, ["b", "ArrowLeft"])["states"])
        (step,) = [i for i, s in enumerate(t["steps"]) if s["k"] == "barrier" and s["w"] == 0][:1]
        self.assertIn("variables", at["cards"])
        self.assertEqual(at["variables"],
                         [[name, *values] for name, values in t["variables"][str(step)].items()])
        self.assertNotIn("variables", elsewhere["cards"])

    def test_two_traces_move_together(self):
        for name, option in (("a", []), ("b", ["--fp32"])):
            self.trace(name, "layer_norm_backward", *option)
        page = self.dir / "ab.html"
        subprocess.run([STUDY, "page", self.dir / "a.json", self.dir / "b.json", f"--output={page}"],
                       check=True)
        seen = self.see(page, ["", "ArrowRight", "click #together input", "ArrowRight"])
        self.assertEqual(seen["title"], "layer_norm_backward and layer_norm_backward")
        times = [[int(view["now"].split()[1]) for view in state] for state in seen["states"]]
        self.assertEqual(times, [[0, 0], [1, 1], [1, 1], [2, 1]])
        self.assertNotEqual(*seen["tiles"])

    def test_pages_are_as_wide_as_the_window(self):
        page, _ = self.trace("wide", "layer_norm_backward", "--block=2")
        for width in (420, 700, 1001, 1400):
            seen = self.see(page, [""] + ["ArrowRight"] * 24, width)  # 24: loads gamma, four floats a lane
            self.assertEqual(seen["width"], width)
            for (view,) in seen["states"]:
                self.assertEqual((len(set(view["lines"])), view["cut"]), (1, []),
                                 f"{view['now']} at {width} pixels")
            self.assertIn("from global gamma", view["what"])
            self.assertIn(view["lines"][0], (2, 4))

    def test_kernels_of_other_kinds_are_drawn(self):
        """Doubles, atomics, structs, partial warps, 256 threads, long traces."""
        for name in ("reject_outlier", "count_differences", "sum_losses", "clip", "squared_norm",
                     "attention_backward_query"):
            page, t = self.trace("one", name)
            seen = self.see(page, ["", "End"])
            self.assertEqual(seen["tiles"][0][0][0], str(t["totals"]["steps"]), name)

    def test_the_page_needs_nothing_else(self):
        page, _ = self.trace("clip", "clip")
        text = page.read_text()
        self.assertNotRegex(text, r"https?://|<link|\bsrc=|@import|fetch\(")


if __name__ == "__main__":
    unittest.main()
