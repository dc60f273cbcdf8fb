"""Reports as headless Chromium draws them: charts, tiles and widths of report.html and of a comparison.

report_browser_test.py BIN_DIR [unittest arguments]
"""
import datetime
import html
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EVIL = """<b>&"'é"""  # of a run's name

# Windows of headless Chromium are at least 500 pixels wide, frames as wide as they are told to be.
FRAME = """<!DOCTYPE html><html><body>
<iframe style="border: 0; width: %(width)spx; height: 3000px" srcdoc="%(page)s"></iframe>
<iframe sandbox="allow-same-origin" style="border: 0; width: %(width)spx; height: 400px"
  srcdoc="%(page)s"></iframe>
<pre id="seen"></pre>
<script>
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument;
  const all = (root, what) => [...root.querySelectorAll(what)], text = node => node.textContent;
  for (const details of all(page, "details")) details.open = true;
  const count = line => line.getAttribute("points").trim().split(" ").length;
  const lines = (figure, css) =>
    all(figure, "polyline").filter(l => l.classList.contains("faint") === css).map(count);
  document.getElementById("seen").textContent = JSON.stringify({
    width: page.defaultView.innerWidth,
    overflow: page.documentElement.dataset.overflow,
    title: page.title,
    heading: text(page.querySelector("h1")),
    dates: all(page, ".dates").map(text),
    tiles: all(page, ".tile").map(tile => [...tile.children].map(text)),
    figures: all(page, "figure").map(figure => ({
      title: text(figure.querySelector("b")), note: text(figure.querySelector("figcaption")),
      lines: lines(figure, false), faint: lines(figure, true), bars: all(figure, "rect").length,
      circles: all(figure, "circle").length, labels: all(figure, "text.label").map(text),
      heights: all(figure, "text.label").map(label => Number(label.getAttribute("y"))),
      points: all(figure, "polyline:not(.faint)").map(l =>
        l.getAttribute("points").split(" ").map(p => p.split(",").map(Number))),
      frame: all(figure, "line.axis")[0]
        && ["x1", "x2", "y1"].map(a => Number(all(figure, "line.axis")[0].getAttribute(a))),
      levels: all(figure, "line.grid").map((l, i) =>
        [Number(l.getAttribute("y1")), Number(text(l.nextSibling))]),
      legend: all(figure, ".legend li").map(li => [...li.childNodes].map(text)),
      cells: all(figure, "td").map(text), measures: all(figure, ".measures > span").map(text)})),
    tables: all(page, "table").map(table => all(table, "tr").map(row => [...row.cells].map(text))),
    sections: all(page, "h2").map(text),
    drawings: all(page, "svg").map(svg => svg.outerHTML).join(""),
    without_scripts: document.querySelector("iframe[sandbox]").contentDocument.body.innerText,
    ticks: %(scales)s.map(([low, high, whole]) =>
      page.defaultView.makeScale({whole}, low, high, 0, 100, 5, false).ticks.map(page.defaultView.short)),
    visible: page.body.innerText + all(page, "svg text").map(text).join(" ")});
});
</script></body></html>"""


def pairs(n, seed):
    """Pairs over 40 ids, alike in their first ids where they match."""
    rng, rows = random.Random(seed), []
    for i in range(n):
        a, b = ([rng.randrange(100, 140) for _ in range(rng.randrange(1, 7))] for _ in "ab")
        if i % 3 == 0:
            b[0] = a[0]
        rows.append("\t".join((" ".join(map(str, a)), " ".join(map(str, b)), str(int(i % 3 == 0)))))
    return "\n".join(rows) + "\n"


def known(values):
    return [v for v in values if v is not None]


@unittest.skipUnless(BROWSER, "neither chromium, chromium-browser nor google-chrome is on PATH")
class ReportBrowser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.dir = pathlib.Path(cls.folder.name)
        (cls.dir / "train.tsv").write_text(pairs(300, 1))
        (cls.dir / "tiny.ini").write_text(
            "[data]\ntrain = train.tsv\nmin_count = 1\n[model]\nlayers = 1\nhidden = 32\nheads = 2\n"
            "max_positions = 40\n"
            "[train]\nbatch = 16\nlr = 1e-3\nprecision = fp32\n[run]\nlog_every = 3\n")
        cls.runs = cls.dir / "one", cls.dir / EVIL
        for run, epochs in zip(cls.runs, (3, 2)):
            cls.program("train", "--config", cls.dir / "tiny.ini", f"--train.epochs={epochs}",
                        f"--run.directory={run}")
        cls.comparison = cls.dir / "compare.html"
        cls.program("report", *(word for run in cls.runs for word in ("--run", run)),
                    "--output", cls.comparison)

    @classmethod
    def program(cls, name, *args):
        done = subprocess.run([BIN / name, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=600)
        if done.returncode:
            raise AssertionError(done.stdout)

    def see(self, path, width=1300, scales=()):
        """What the page shows in a frame of this width; `scales`: (low, high, whole) of axes whose ticks are
        asked for."""
        frame = self.dir / "frame.html"
        frame.write_text(FRAME % {"width": width, "scales": json.dumps(scales),
                                  "page": html.escape(path.read_text())})
        done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--virtual-time-budget=5000",
                               "--window-size=1400,1000", f"--user-data-dir={self.dir}/profile",
                               "--dump-dom", frame.as_uri()],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300,
                              # LD_PRELOAD is that of preset cuda_host.
                              env={k: v for k, v in os.environ.items() if k != "LD_PRELOAD"})
        found = re.search(r'<pre id="seen">(.+?)</pre>', done.stdout, re.S)
        self.assertTrue(found, f"the page threw an error:\n{done.stderr[-2000:]}")
        seen = json.loads(html.unescape(found[1]))
        self.assertEqual(seen["width"], width)
        self.assertIsNone(re.search(r"\b(NaN|undefined|null|Infinity)\b", seen["visible"]), seen["visible"])
        self.assertNotRegex(seen["drawings"], "NaN|undefined|null|Infinity")
        return seen

    def run_json(self, run):
        return json.loads((run / "run.json").read_text())

    def figure(self, seen, title):
        (found,) = [f for f in seen["figures"] if f["title"] == title]
        return found

    def test_curves_have_the_points_of_run_json(self):
        run, seen = self.run_json(self.runs[0]), self.see(self.runs[0] / "report.html")
        self.assertEqual(seen["sections"], ["Epochs", "Training", "Validation by the best model",
                                            "Data and time", "Machine", "Details"])
        self.assertEqual(len(run["epochs"]), 3)
        auc = self.figure(seen, "Validation AUC")
        self.assertEqual((auc["lines"], auc["circles"]), ([3], 3 + 1))
        self.assertEqual(auc["labels"], [f"{run['best_auc']:.4f} in epoch {run['best_epoch']}"])
        labels = self.figure(seen, "Label loss: training and validation")
        self.assertEqual((labels["lines"], labels["circles"]), ([3, 3], 6))
        self.assertEqual(sorted(labels["labels"]), ["training", "validation"])
        self.assertIn("Where the curves part, the model overfits", labels["note"])
        steps = run["steps"]
        self.assertGreater(len(steps["step"]), 10)
        for key, title in (("loss", "Training loss"), ("loss_mlm", "Masked-token loss"),
                           ("loss_cls", "Label loss"), ("grad_norm", "Gradient norm")):
            figure = self.figure(seen, title)
            self.assertEqual(figure["faint"], [len(known(steps[key]["values"]))], title)
            self.assertEqual(figure["lines"], [len(known(steps[key]["smoothed"]))], title)
            self.assertIn(f"Mean of the last epoch: {run['last_epoch'][key]:.3f}.", figure["note"])
        for key, title in (("lr", "Learning rate"), ("pairs_per_s", "Speed")):
            self.assertEqual(self.figure(seen, title)["lines"], [len(steps[key]["values"])], title)

    def test_runs_of_earlier_versions_have_two_different_label_losses(self):
        run = self.dir / "earlier"
        shutil.copytree(self.runs[0], run)
        page = (run / "report.html").read_text()
        (run / "report.html").write_text(re.sub(r',"train_log_loss":[^,}]+', "", page))
        labels = self.figure(self.see(run / "report.html"), "Label loss: training and validation")
        self.assertEqual(sorted(labels["labels"]), ["training, all tokens", "validation, yes/no"])
        self.assertIn("Two different quantities", labels["note"])

    def test_the_last_epoch_is_stated_by_its_mean(self):
        records = [json.loads(line) for line in (self.runs[0] / "metrics.jsonl").read_text().splitlines()]
        last = [r for r in records if r["kind"] == "epoch"][-1]
        note = self.figure(self.see(self.runs[0] / "report.html"), "Masked-token loss")["note"]
        self.assertIn(f"Mean of the last epoch: {last['loss_mlm']:.3f}.", note)

    def test_tiles_and_tables_show_the_values_of_run_json(self):
        run, seen = self.run_json(self.runs[0]), self.see(self.runs[0] / "report.html")
        tiles = {name: value for value, name in seen["tiles"]}
        self.assertEqual(tiles["best validation AUC"], f"{run['best_auc']:.4f}")
        self.assertEqual(tiles["best epoch, of 3"], str(run["best_epoch"]))
        self.assertEqual(set(tiles),
                         {"best validation AUC", "best epoch, of 3", "wall-clock time", "pairs per second"})
        in_utc = lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
        date = lambda seconds: in_utc(seconds).strftime("%Y-%m-%d %H:%M UTC")
        self.assertEqual(seen["dates"],
                         [f"first record {date(run['first_record'])}, ended {date(run['ended'])}"])
        self.assertLess(run["first_record"], run["ended"])
        tables = seen["tables"]
        for facts in ("facts", "machine"):
            self.assertIn([[f["name"], f["value"]] for f in run[facts]], tables)
        (epochs,) = [t for t in tables if t[0][0] == "epoch"]
        self.assertEqual(epochs[0], ["epoch", "loss", "masked tokens", "labels", "AUC", "log loss",
                                     "accuracy", "F1", "best F1", "pairs/s", "time"])
        for row, e in zip(epochs[1:], run["epochs"], strict=True):
            keys = ("loss", "loss_mlm", "loss_cls", "auc", "log_loss", "accuracy", "f1", "best_f1")
            self.assertEqual([float(cell) for cell in row[:9]], [e["epoch"], *(round(e[k], 4) for k in keys)])
        self.assertIn("lr = 0.001", seen["visible"])  # config.ini

    def test_validation_and_data(self):
        run, seen = self.run_json(self.runs[0]), self.see(self.runs[0] / "report.html")
        v = run["validation"]
        roc = self.figure(seen, "ROC curve")
        self.assertEqual(roc["lines"], [len(v["roc"]["true_positive_rate"])])
        self.assertIn(f"{v['auc']:.4f}", roc["note"])
        scores = self.figure(seen, "Scores by class")
        self.assertEqual(scores["bars"],
                         sum(n > 0 for kind in ("match", "no_match") for n in v["scores"][kind]))
        self.assertEqual(sum(v["scores"]["match"]) + sum(v["scores"]["no_match"]), v["rows"])
        c = v["confusion"]
        counts = [c[k] for k in ("true_positives", "false_negatives", "false_positives", "true_negatives")]
        confusion = self.figure(seen, "Confusion at the best threshold")
        self.assertEqual(confusion["cells"], [f"{n:.0f}{100 * n / v['rows']:.1f} %" for n in counts])
        self.assertIn(f"{v['f1']:.4f}F1", confusion["measures"])
        self.assertEqual(self.figure(seen, "Lengths")["bars"], sum(n > 0 for n in run["lengths"]))
        balance = self.figure(seen, "Class balance")["legend"]
        self.assertEqual([[row[1], row[2]] for row in balance],
                         [[name.replace("_", " "), str(c[name])] for c in run["classes"]
                          for name in ("match", "no_match")])
        self.assertEqual(sum(int(row[2]) for row in balance), 300)
        self.assertEqual([row[1] for row in self.figure(seen, "Time")["legend"]],
                         [t["name"] for t in run["time_split"]])

    def test_a_comparison_has_a_labelled_line_for_each_run(self):
        seen, names = self.see(self.comparison), [run.name for run in self.runs]
        self.assertEqual((seen["title"], seen["heading"]), ("2 runs compared", "2 runs compared"))
        self.assertEqual([f["title"] for f in seen["figures"]],
                         ["Validation AUC", "Validation AUC", "Validation log loss", "Training loss",
                          "Label loss", "Masked-token loss"])
        for figure in seen["figures"]:
            self.assertEqual(figure["lines"], [3, 2], figure["title"])
            self.assertEqual(sorted(figure["labels"]), sorted(names), figure["title"])
        results, options = seen["tables"]
        for row, run in zip(results[1:], self.runs, strict=True):
            values = self.run_json(run)
            self.assertEqual(row[:4], [run.name, f"{values['best_auc']:.4f}", str(values["best_epoch"]),
                                       str(len(values["epochs"]))])
        self.assertEqual(options, [["", *names], ["train.epochs", "3", "2"]])

    def test_ticks_are_round_numbers_and_cover_the_data(self):
        cases = {
            (0, 1, False): ["0", "0.2", "0.4", "0.6", "0.8", "1"],
            (0.61, 0.93, False): ["0.6", "0.7", "0.8", "0.9", "1"],
            (3, 7, True): ["3", "4", "5", "6", "7"],
            (1, 3, True): ["1", "2", "3"],
            (0, 100000, False): ["0", "20k", "40k", "60k", "80k", "100k"],
            (-0.02, 0.02, False): ["-0.02", "-0.01", "0", "0.01", "0.02"],
            (0, 8e-5, False): ["0", "2e-5", "4e-5", "6e-5", "8e-5"],
        }
        flat = [(0.5, 0.5000000000000001, False), (0.5, 0.5, False)]  # no step between them changes a value
        ticks = self.see(self.comparison, scales=[*cases, *flat])["ticks"]
        self.assertEqual(ticks[:len(cases)], list(cases.values()))
        for found in ticks[len(cases):]:
            self.assertTrue(2 <= len(found) <= 10, found)

    def test_points_are_where_the_axes_say(self):
        run = self.run_json(self.runs[0])
        auc = self.figure(self.see(self.runs[0] / "report.html"), "Validation AUC")
        left, right, bottom = auc["frame"]
        (y0, v0), (y1, v1) = auc["levels"][0], auc["levels"][-1]
        self.assertEqual(y0, bottom)
        for i, ((x, y), e) in enumerate(zip(auc["points"][0], run["epochs"], strict=True)):
            self.assertAlmostEqual(x, left + (right - left) * i / 2, delta=0.11)
            self.assertAlmostEqual(y, y0 + (e["auc"] - v0) / (v1 - v0) * (y1 - y0), delta=0.11)

    def test_names_at_the_ends_of_lines_do_not_overlap(self):
        runs = []
        for name in ("first", "second", "third", "fourth"):  # copies: all lines end in one point
            runs.append(self.dir / name)
            shutil.copytree(self.runs[0], runs[-1])
        page = self.dir / "copies.html"
        self.program("report", *(word for run in runs for word in ("--run", run)), "--output", page)
        for figure in self.see(page, 420)["figures"]:
            heights = sorted(figure["heights"])
            self.assertEqual(len(heights), 4)
            self.assertTrue(all(b - a >= 14.9 for a, b in zip(heights, heights[1:])), heights)
            self.assertLessEqual(heights[-1], figure["frame"][2] + 5)

    def test_without_scripts_the_main_figures_are_there(self):
        run = self.run_json(self.runs[0])
        text = self.see(self.runs[0] / "report.html")["without_scripts"]
        for line in ("one", f"Best validation AUC: {run['best_auc']:.4f} in epoch {run['best_epoch']}",
                     f"Final validation AUC: {run['epochs'][-1]['auc']:.4f}",
                     f"Training loss, mean of the last epoch: {run['last_epoch']['loss']:.4f}"):
            self.assertIn(line, text.splitlines())
        compared = self.see(self.comparison)["without_scripts"]
        for run in self.runs:
            self.assertIn(f"{run.name}: best validation AUC {self.run_json(run)['best_auc']:.4f}", compared)

    def test_a_name_is_text(self):
        seen = self.see(self.runs[1] / "report.html")
        self.assertEqual((seen["title"], seen["heading"]), (EVIL, EVIL))

    def test_pages_are_as_wide_as_the_window(self):
        for page in (self.runs[0] / "report.html", self.comparison):
            for width in (420, 1300):
                self.assertEqual(self.see(page, width)["overflow"], "false", (page.name, width))

    def test_a_page_with_nothing_measured(self):
        run = self.dir / "nothing"
        self.program("train", "--config", self.dir / "tiny.ini", "--train.epochs=0", f"--run.directory={run}")
        seen = self.see(run / "report.html")
        self.assertEqual([f["title"] for f in seen["figures"]], ["Lengths", "Class balance", "Time"])
        self.assertEqual(seen["sections"], ["Data and time", "Machine", "Details"])


if __name__ == "__main__":
    unittest.main()
