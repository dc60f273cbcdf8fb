#include "train/report/report.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <regex>
#include <string>
#include <vector>

#include "tests/support/temporary.h"
#include "tests/support/text.h"
#include "train/report/chart.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

// A run with falling losses whose best AUC is in the second-to-last epoch.
RunRecord example(int epochs, int steps_per_epoch, int rows = 400) {
  RunRecord run;
  run.name = "example";
  long step = 0;
  for (int epoch = 1; epoch <= epochs; epoch++) {
    for (int i = 0; i < steps_per_epoch; i++) {
      step++;
      const double noise = 0.1 * std::sin(double(step) * 12.9898);
      const double mlm = 2 + 5 / std::sqrt(1 + 0.05 * double(step)) + noise,
                   cls = 0.2 + 6 / (1 + 0.1 * double(step)) + noise;
      run.steps.push_back({epoch, step, 0.7 * mlm + 0.3 * cls, mlm, cls, 1e-3 / (1 + 0.001 * double(step)),
                           900 + 100 * noise, 12000, 1 + noise, 0, 250, 1500, 1600, 1.7e9});
    }
    run.epochs.push_back({epoch, 3.0 / epoch, 4.0 / epoch, 1.0 / epoch, 0.95 - 0.4 / epoch, 900, 61.5,
                          0.3 + 0.4 / epoch, 0.9 - 0.3 / epoch, 0.88 - 0.3 / epoch, 0.43, 0.91 - 0.3 / epoch,
                          0.89 - 0.3 / epoch, 1.7e9});
  }
  if (epochs > 1) run.epochs.back().auc -= 0.1;
  run.best_epoch = std::max(epochs - 1, 1), run.best_auc = run.epochs[size_t(run.best_epoch - 1)].auc;
  run.seconds = 3725;
  for (int i = 0; i < rows; i++) {
    run.labels.push_back(float(i % 5 < 2));
    const double logit = 2.5 * (run.labels.back() - 0.5) + 2 * std::sin(i * 78.233) + std::cos(i * 3.1);
    run.scores.push_back(float(1 / (1 + std::exp(-1.5 * logit))));
  }
  for (int n = 0; n < 36; n++)
    run.lengths.push_back(n < 5 ? 0 : long(4000 * std::exp(-0.02 * (n - 15) * (n - 15))));
  run.time_split = {{"training", 3300}, {"validation", 310}, {"test scores", 95}, {"start", 20}};
  run.facts = {{"Training file", "train.tsv"}, {"Pairs", "16000, 14000 of them labelled"}};
  run.machine = machine_facts("simulator");
  run.config = "[train]\nlr = 1e-3\n";
  return run;
}

// Returns "" if tags nest correctly and attributes are quoted, else the fault.
std::string fault(const std::string& html) {
  static const std::regex tag(R"(<(/?)([a-z0-9]+)((?:\s+[a-z0-9-]+='[^'<>]*')*)\s*(/?)>)", std::regex::icase);
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != html.npos; at = html.find('<', at + 1)) {
    if (html.compare(at, 15, "<!DOCTYPE html>") == 0) continue;
    const size_t end = html.find('>', at);
    if (end == html.npos) return "a tag without end";
    const std::string text = html.substr(at, end - at + 1);
    std::smatch match;
    if (text.size() > 4000) {  // polylines: std::regex recurses too deeply
      if (text.compare(0, 10, "<polyline ") != 0 || text[text.size() - 2] != '/') return "a long tag";
      continue;
    }
    if (!std::regex_match(text, match, tag)) return text;
    if (match[2] == "meta" || match[2] == "br" || match[4] == "/") continue;
    if (match[1] == "") {
      open.push_back(match[2]);
    } else {
      if (open.empty() || open.back() != match[2]) return "closes what is not open: " + text;
      open.pop_back();
    }
  }
  return open.empty() ? "" : "left open: " + open.back();
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("report: a run is shown in one well-formed file that asks for nothing else") {
  const std::string html = report_html(example(9, 50));
  CHECK(fault(html) == "");
  // AUC, labels by epoch, two losses, gradient norm, learning rate, speed, ROC, scores, lengths
  CHECK(count(html, "<svg") == 10);
  for (const char* part : {"example", "0.9000", "1h 02m", "best epoch, of 9", "train.tsv",
                           "[train]\nlr = 1e-3\n", "simulator", "prefers-color-scheme: dark", "@media print"})
    CHECK_MESSAGE(holds(html, part), part);
  for (const char* part : {"http:", "https:", "<script", "src=", "url(", "@import", "nan", "inf"})
    CHECK_MESSAGE(!holds(html, part), part);
}

TEST_CASE("report: what is empty or undefined is left out") {
  const std::string empty = report_html({});
  CHECK(fault(empty) == "");
  CHECK(!holds(empty, "<svg"));
  CHECK(!holds(empty, "<section"));
  CHECK(holds(empty, "Nothing has been measured yet"));

  RunRecord run = example(3, 20);
  run.best_auc = undefined;
  for (EpochRecord& e : run.epochs) e.auc = undefined;
  for (EpochRecord& e : run.epochs) e.log_loss = e.accuracy = undefined;
  for (StepRecord& s : run.steps) s.loss_cls = s.grad_norm = undefined;
  run.scores.clear(), run.labels.clear();
  const std::string html = report_html(run);
  CHECK(fault(html) == "");
  CHECK(!holds(html, "Validation"));
  CHECK(!holds(html, "Loss of the labels"));
  CHECK(!holds(html, "Norm of the gradient"));
  CHECK(!holds(html, "Labels: training and validation"));
  CHECK(holds(html, "Loss of the masked tokens"));
  CHECK(holds(html, "Learning rate"));
  CHECK(!holds(html, "nan"));
}

TEST_CASE("report: one epoch of one step") {
  const std::string html = report_html(example(1, 1));
  CHECK(fault(html) == "");
  CHECK(holds(html, "best epoch, of 1"));
  CHECK(!holds(html, "nan"));
}

TEST_CASE("report: values that are not finite leave gaps, not marks") {
  RunRecord run = example(5, 30);
  run.epochs[1].auc = undefined;
  run.steps[7].loss_mlm = undefined;
  run.steps[8].loss_mlm = std::numeric_limits<double>::infinity();
  run.epochs[2].seconds = undefined;
  const std::string html = report_html(run);
  CHECK(fault(html) == "");
  CHECK(!holds(html, "nan"));
  CHECK(!holds(html, "inf"));

  run.scores[3] = std::nanf("");  // NaN scores have no ROC
  CHECK(!holds(report_html(run), "ROC"));
  run.scores.pop_back();
  CHECK(!holds(report_html(run), "ROC"));
}

TEST_CASE("report: rows of one class have no curve") {
  RunRecord run = example(2, 20);
  std::fill(run.labels.begin(), run.labels.end(), 0.0f);
  CHECK(!holds(report_html(run), "ROC"));
}

TEST_CASE("report: text from outside is text, never markup") {
  RunRecord run = example(2, 20);
  const std::string evil = "<script>alert('&\"')</script>\x01";
  run.name = run.config = evil;
  run.facts = {{evil, evil}};
  run.machine = {{evil, evil}};
  run.time_split = {{evil, 2.0}};
  const std::string html = report_html(run);
  CHECK(fault(html) == "");
  CHECK(!holds(html, "<script"));
  CHECK(count(html, "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt; ") ==
        8);  // the name is also in the title
}

TEST_CASE("report: a hundred thousand steps and rows stay small") {
  const std::string html = report_html(example(100, 1000, 10000));
  CHECK(fault(html) == "");
  CHECK(html.size() < 400'000);
}

TEST_CASE("report: the confusion counts every row once, and agrees with the scores") {
  RunRecord run = example(1, 20, 0);
  run.scores = {0.9f, 0.8f, 0.7f, 0.4f, 0.3f, 0.2f};
  run.labels = {1, 1, 0, 1, 0, 0};
  // F1 by threshold: 0.9: 1/2, 0.8: 4/5, 0.7: 2/3, 0.4: 6/7, 0.3: 3/4. Best 0.4: TP 3, FP 1, TN 2, FN 0.
  const std::string html = report_html(run);
  CHECK(holds(html, "<b>3</b><br>50.0 %"));
  CHECK(holds(html, "<b>0</b><br>0.0 %"));
  CHECK(holds(html, "<b>1</b><br>16.7 %"));
  CHECK(holds(html, "<b>2</b><br>33.3 %"));
  CHECK(holds(html, "<th>F1</th><td>0.8571</td>"));
  CHECK(holds(html, "<th>Precision</th><td>0.7500</td>"));
  CHECK(holds(html, "<th>Recall</th><td>1.0000</td>"));
  CHECK(holds(html, "<th>Accuracy</th><td>0.8333</td>"));
  CHECK(holds(html, "The area under it is 0.8889"));  // 8 of 9 pairs ranked correctly
}

TEST_CASE("report: the table of epochs has every measure, and the best epoch stands out") {
  RunRecord run = example(2, 20);
  run.epochs[0] = {1, 3.5, 4.25, 1.125, 0.75, 900, 61.5, 0.625, 0.71875, 0.6875, 0.4, 0.73, 0.703125, 1.7e9};
  const std::string html = report_html(run);
  CHECK(holds(
      html,
      "<tr class='best'><td>1</td><td>3.5000</td><td>4.2500</td><td>1.1250</td><td>0.7500</td><td>0.6250</td>"
      "<td>0.7188</td><td>0.6875</td><td>0.7031</td><td>900</td><td>1m 02s</td></tr>"));
  CHECK(count(html, "class='best'") == 1);
}

TEST_CASE("report: is written whole") {
  const TemporaryFolder folder;
  const RunRecord run = example(2, 20);
  write_report(folder / "report.html", run);
  CHECK(contents(folder / "report.html") == report_html(run));
  CHECK(folder.count_files() == 1);
}

TEST_CASE("report: the machine's facts begin with the device and end with the compiler") {
  const std::vector<Fact> facts = machine_facts("GPU X");
  REQUIRE(facts.size() >= 3);
  CHECK(facts.front() == Fact("Device", "GPU X"));
  CHECK(facts.back().first == "Build");
  for (const auto& [what, value] : facts) CHECK_MESSAGE(!value.empty(), what);
}

TEST_CASE("chart: ticks are round numbers and cover the data") {
  const auto ticks = [](double low, double high, bool whole) {
    LineChart chart;
    chart.y.whole = whole;
    chart.series = {{"", 1, {0, 1}, {low, high}}};
    const std::string svg = line_chart(chart);
    std::vector<std::string> found;
    static const std::regex tick("text-anchor='end'>([^<]*)<");
    for (std::sregex_iterator i(svg.begin(), svg.end(), tick), none; i != none; ++i) found.push_back((*i)[1]);
    return found;
  };
  using Ticks = std::vector<std::string>;
  CHECK(ticks(0, 1, false) == Ticks{"0", "0.2", "0.4", "0.6", "0.8", "1"});
  CHECK(ticks(0.61, 0.93, false) == Ticks{"0.6", "0.7", "0.8", "0.9", "1"});
  CHECK(ticks(3, 7, true) == Ticks{"3", "4", "5", "6", "7"});
  CHECK(ticks(1, 3, true) == Ticks{"1", "2", "3"});
  CHECK(ticks(0, 100000, false) == Ticks{"0", "20k", "40k", "60k", "80k", "100k"});
  CHECK(ticks(-0.02, 0.02, false) == Ticks{"-0.02", "-0.01", "0", "0.01", "0.02"});
  CHECK(ticks(0.5, std::nextafter(0.5, 1), false).size() <= 10);  // adjacent doubles: no tick between them
  CHECK(ticks(0.5, 0.5, false).size() >= 2);                      // a flat line still has an axis
}

TEST_CASE("chart: points lie where the axes say, and NaN nowhere") {
  LineChart chart;
  chart.x = {"", 0, 10};
  chart.y = {"", 0, 1};
  chart.series = {{"", 1, {0, 4, 5, 10}, {0, NAN, 0.5, 1}}};
  const std::string svg = line_chart(chart);
  CHECK(holds(svg, "points='50.0,256.0 296.0,143.0 542.0,30.0 '"));
  chart.series = {{"", 1, {1, 2}, {NAN, NAN}}};
  CHECK(line_chart(chart) == "");
}

TEST_CASE("chart: of many points, the means of equal stretches") {
  LineChart chart;
  Series s{"", 1, {}, {}};
  for (int i = 0; i < 100000; i++) s.x.push_back(i), s.y.push_back(i % 2);
  chart.x = {"", 0, 100000};
  chart.y = {"", 0, 1};
  chart.series = {s};
  const std::string svg = line_chart(chart);
  CHECK(count(svg, ",143.0 ") == 400);  // mean of 0 and 1, at half height
}

TEST_CASE("chart: names at the ends of series do not lie on each other") {
  LineChart chart;
  chart.y = {"", 0, 1};
  for (const char* name : {"one", "two", "three"}) chart.series.push_back({name, 1, {0, 1}, {0, 0.001}});
  const std::string svg = line_chart(chart);
  static const std::regex label("class='label c1' x='[0-9.]+' y='([0-9.]+)'");
  std::vector<double> y;
  for (std::sregex_iterator i(svg.begin(), svg.end(), label), none; i != none; ++i)
    y.push_back(std::stod((*i)[1]));
  REQUIRE(y.size() == 3);
  std::sort(y.begin(), y.end());
  CHECK(y[1] - y[0] >= 14.9);
  CHECK(y[2] - y[1] >= 14.9);
  CHECK(y[2] <= 261);  // inside the frame
}
