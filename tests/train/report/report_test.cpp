#include "train/report/report.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "tests/support/page.h"
#include "tests/support/temporary.h"
#include "tests/support/text.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

// A run whose losses fall and whose AUC is best in the epoch before the last.
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
  run.seconds = 3725, run.first_record = 1.7e9, run.ended = 1.7e9 + 3725;
  for (int i = 0; i < rows; i++) {
    run.labels.push_back(float(i % 5 < 2));
    const double logit = 2.5 * (run.labels.back() - 0.5) + 2 * std::sin(i * 78.233) + std::cos(i * 3.1);
    run.scores.push_back(float(1 / (1 + std::exp(-1.5 * logit))));
  }
  for (int n = 0; n < 36; n++)
    run.lengths.push_back(n < 5 ? 0 : long(4000 * std::exp(-0.02 * (n - 15) * (n - 15))));
  run.time_split = {{"training", 3300}, {"validation", 310}, {"test scores", 95}, {"start", 20}};
  run.facts = {{"Training file", "train.tsv"}, {"Pairs", "16000, 14000 of them labelled"}};
  run.classes = {{"training", 6000, 8000}, {"validation", size_t(rows) * 2 / 5, size_t(rows) * 3 / 5}};
  run.machine = environment("simulator");
  run.config = "[train]\nlr = 1e-3\n";
  return run;
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

// The names of the members.
std::vector<std::string> keys(const Json& json) {
  std::vector<std::string> names;
  for (const auto& item : json.items()) names.push_back(item.key());
  return names;
}

// Records of one epoch whose losses are given, each covering the given number of steps.
RunRecord steps_with(const std::vector<double>& losses, const std::vector<long>& covered) {
  RunRecord run;
  long step = 0;
  for (size_t i = 0; i < losses.size(); i++)
    run.steps.push_back(
        {1, step += covered[i], losses[i], losses[i], losses[i], 1e-3, 900, 12000, losses[i]});
  return run;
}

}  // namespace

TEST_CASE("report: the page is one file that asks for nothing else and holds the values of run.json") {
  const RunRecord run = example(9, 50);
  const std::string html = report_html(run);
  CHECK(embedded_json(html) == Json::parse(json_text(run_json(run))));
  for (const char* part :
       {"<title>example</title>", "prefers-color-scheme: dark", "@media print", "<noscript>", "</html>"})
    CHECK_MESSAGE(count(html, part) == 1, part);
  // The namespaces of HTML and SVG are names, not addresses.
  CHECK(count(html, "http:") == 2);
  CHECK(count(html, "http://www.w3.org/") == 2);
  for (const char* part : {"https:", "src=", "href", "url(", "@import", "fetch", "{{"})
    CHECK_MESSAGE(!holds(html, part), part);
}

TEST_CASE("report: what is known of a run") {
  const Json json = run_json(example(9, 50));
  CHECK(keys(json) == std::vector<std::string>{"name", "first_record", "ended", "best_auc", "best_epoch",
                                               "seconds", "pairs_per_s", "last_epoch", "epochs", "steps",
                                               "validation", "lengths", "classes", "time_split", "facts",
                                               "machine", "config"});
  CHECK(json["name"] == "example");
  CHECK(json["best_auc"] == 0.95 - 0.4 / 8);
  CHECK(json["best_epoch"] == 8);
  CHECK(json["epochs"].size() == 9);
  CHECK(json["seconds"] == 3725);
  CHECK(json["first_record"] == 1.7e9);
  CHECK(json["ended"] == 1.7e9 + 3725);
  CHECK(json["pairs_per_s"] == 900);
  CHECK(json["lengths"].size() == 36);
  CHECK(json["lengths"][15] == 4000);
  CHECK(json["classes"] == Json::parse(R"([{"name":"training","match":6000,"no_match":8000},
                                           {"name":"validation","match":160,"no_match":240}])"));
  CHECK(json["time_split"][1] == Json{{"name", "validation"}, {"seconds", 310.0}});
  CHECK(json["facts"][0] == Json{{"name", "Training file"}, {"value", "train.tsv"}});
  CHECK(json["machine"][0] == Json{{"name", "Device"}, {"value", "simulator"}});
  CHECK(json["config"] == "[train]\nlr = 1e-3\n");
  CHECK(keys(json["steps"]) ==
        std::vector<std::string>{"step", "loss", "loss_mlm", "loss_cls", "lr", "pairs_per_s", "grad_norm"});
  CHECK(keys(json["validation"]) ==
        std::vector<std::string>{"rows", "auc", "threshold", "f1", "confusion", "roc", "scores"});
}

TEST_CASE("report: readers without JavaScript see the main figures") {
  const std::string html = report_html(example(9, 50));
  const size_t begin = html.find("<noscript>"), end = html.find("</noscript>");
  const std::string text = html.substr(begin, end - begin);
  CHECK(holds(text, "<h1>example</h1>"));
  CHECK(holds(text, "<li>Best validation AUC: 0.9000 in epoch 8</li>"));
  CHECK(holds(text, "<li>Final validation AUC: 0.8056</li>"));
  CHECK(holds(text, "<li>Training loss, mean of the last epoch: 0.3333</li>"));
}

TEST_CASE("report: what is empty or undefined is left out") {
  CHECK(run_json({}) == Json{{"name", "Training run"}});
  CHECK(embedded_json(report_html({})) == Json{{"name", "Training run"}});
  CHECK(holds(report_html({}), "none measured yet"));

  RunRecord run = example(3, 20);
  run.best_auc = run.first_record = run.ended = undefined;
  for (EpochRecord& e : run.epochs) e.auc = undefined;
  for (EpochRecord& e : run.epochs) e.log_loss = e.accuracy = undefined;
  for (StepRecord& s : run.steps) s.loss_cls = s.grad_norm = undefined;
  run.scores.clear(), run.labels.clear();
  run.classes = {{"training", 0, 0}};
  run.time_split = {{"training", undefined}};
  const Json json = run_json(run);
  for (const char* key : {"best_auc", "first_record", "ended", "validation", "classes", "time_split"})
    CHECK_MESSAGE(!json.contains(key), key);
  CHECK(keys(json["steps"]) == std::vector<std::string>{"step", "loss", "loss_mlm", "lr", "pairs_per_s"});
  CHECK(!json["last_epoch"].contains("grad_norm"));
  for (const char* key : {"auc", "log_loss", "accuracy"})
    CHECK_MESSAGE(!json["epochs"][0].contains(key), key);
  CHECK(!holds(json_text(json), "null"));
  CHECK(!holds(report_html(run), "nan"));
}

TEST_CASE("report: one epoch of one step") {
  const Json json = run_json(example(1, 1));
  CHECK(json["best_epoch"] == 1);
  CHECK(json["epochs"].size() == 1);
  CHECK(json["steps"]["step"] == Json::array({1.0}));
  CHECK(json["steps"]["loss"]["values"].size() == 1);
  CHECK(!json["steps"]["loss"].contains("smoothed"));
  CHECK(!holds(json_text(json), "null"));
}

TEST_CASE("report: values that are not finite are null") {
  RunRecord run = example(5, 30);
  run.epochs[1].auc = undefined;
  run.steps[7].loss_mlm = undefined;
  run.steps[8].loss_mlm = std::numeric_limits<double>::infinity();
  run.epochs[2].seconds = undefined;
  const Json json = Json::parse(json_text(run_json(run)));
  CHECK(!json["epochs"][1].contains("auc"));
  CHECK(!json["epochs"][2].contains("seconds"));
  CHECK(json["epochs"][1]["elapsed"] == 123);
  CHECK(!json["epochs"][3].contains("elapsed"));  // unknown from there on
  const Json& mlm = json["steps"]["loss_mlm"];
  CHECK(mlm["values"][6].is_number());
  CHECK(mlm["values"][7].is_null());
  CHECK(mlm["values"][8].is_null());
  CHECK(mlm["smoothed"][7].is_number());  // of its neighbours
  CHECK(count(json_text(json), "null") == 2);

  run.scores[3] = std::nanf("");  // nothing can be measured by these
  CHECK(!run_json(run).contains("validation"));
  run.scores.pop_back();
  CHECK(!run_json(run).contains("validation"));
}

TEST_CASE("report: rows of one class have no curve") {
  RunRecord run = example(2, 20);
  std::fill(run.labels.begin(), run.labels.end(), 0.0f);
  CHECK(!run_json(run).contains("validation"));
}

TEST_CASE("report: text from outside is text, never markup") {
  RunRecord run = example(2, 20);
  const std::string evil = "</script><!--<script>alert('&\"')</script>\x01\xE2\x80\xA8\xC3\xA9 {{data}}";
  run.name = run.config = evil;
  run.facts = run.machine = {{evil, evil}};
  run.time_split = {{evil, 2.0}};
  const std::string html = report_html(run);
  const Json json = embedded_json(html);
  CHECK(json["name"] == evil);
  CHECK(json["config"] == evil);
  CHECK(json["facts"][0] == Json{{"name", evil}, {"value", evil}});
  CHECK(json["time_split"][0]["name"] == evil);
  CHECK(Json::parse(json_text(run_json(run)))["name"] == evil);
  CHECK(count(html, "<script") == 2);  // the template's own: the data, and what draws it
  CHECK(count(html, "</script") == 2);
  CHECK(!holds(html, "<!--"));
  CHECK(!holds(html, "\x01"));
  CHECK(count(html, "\xE2\x80\xA8") == 2);  // in <title> and <noscript>, never in the script
  CHECK(holds(html, "<title>&lt;/script&gt;&lt;!--&lt;script&gt;alert('&amp;\"')&lt;/script&gt; "));
}

TEST_CASE("report: bytes that are not UTF-8 become a replacement character") {
  RunRecord run;
  run.name = "a\xFF";
  CHECK(embedded_json(report_html(run))["name"] == "a\uFFFD");
  CHECK(json_text(run_json(run)) == "{\"name\":\"a\uFFFD\"}\n");
}

TEST_CASE("report: a hundred thousand steps and rows stay small") {
  const RunRecord run = example(100, 1000, 10000);
  const Json json = run_json(run);
  CHECK(json["steps"]["step"].size() == 400);
  CHECK(json["steps"]["loss_mlm"]["values"].size() == 400);
  const Json& roc = json["validation"]["roc"];
  REQUIRE(roc["false_positive_rate"].size() == 400);
  CHECK(roc["false_positive_rate"].front() == 0);
  CHECK(roc["true_positive_rate"].front() == 0);
  CHECK(roc["false_positive_rate"].back() == 1);
  CHECK(roc["true_positive_rate"].back() == 1);
  CHECK(report_html(run).size() < 400'000);
}

TEST_CASE("report: the last epoch's loss is the epoch's mean, whatever its last record says") {
  RunRecord run = steps_with({5, 4, 2}, {50, 50, 10});
  run.epochs = {{1, 4.25, 4.5, 4.75}};
  const Json last = run_json(run)["last_epoch"];
  CHECK(last["loss"] == 4.25);
  CHECK(last["loss_mlm"] == 4.5);
  CHECK(last["loss_cls"] == 4.75);
  CHECK(last["grad_norm"].get<double>() == doctest::Approx((50 * 5 + 50 * 4 + 10 * 2) / 110.0));
}

TEST_CASE("report: a record counts by the steps that it covers") {
  // Twelve records of 50 steps, then one of 5, as at the end of an epoch.
  std::vector<double> losses(12, 4.0);
  std::vector<long> covered(12, 50);
  losses.push_back(1), covered.push_back(5);
  const Json loss = run_json(steps_with(losses, covered))["steps"]["loss"];
  CHECK(loss["values"][12] == 1);
  // The window of the last point is the three last records.
  CHECK(loss["smoothed"][12].get<double>() == doctest::Approx((2 * 50 * 4 + 5 * 1) / 105.0));
  CHECK(loss["smoothed"][0] == 4);
  CHECK(loss["smoothed"].size() == 13);

  // 800 records make 400 points of two records each; every second record covers one step.
  losses.assign(800, 3), covered.assign(800, 9);
  for (size_t i = 1; i < 800; i += 2) losses[i] = 13, covered[i] = 1;
  const Json steps = run_json(steps_with(losses, covered))["steps"];
  REQUIRE(steps["step"].size() == 400);
  for (const Json& value : steps["loss"]["values"]) CHECK(value.get<double>() == doctest::Approx(4));
  CHECK(steps["step"][0].get<double>() == doctest::Approx((9 * 9 + 1 * 10) / 10.0));
}

TEST_CASE("report: a record counts by the steps that it says") {
  // An epoch has two records: the run was resumed from a checkpoint without the first.
  RunRecord run = steps_with({4, 1}, {50, 5});
  run.steps[0].steps = 10, run.steps[1].steps = 5;
  run.epochs = {{1, 3, 3, 3}};
  CHECK(run_json(run)["last_epoch"]["grad_norm"].get<double>() == doctest::Approx((10 * 4 + 5 * 1) / 15.0));
}

TEST_CASE("report: threshold and hash of the data are there where they are known") {
  RunRecord run = example(2, 20);
  run.threshold = 0.25, run.data_hash = "00c0ffee00c0ffee";
  CHECK(run_json(run)["threshold"] == 0.25);
  CHECK(run_json(run)["data_hash"] == "00c0ffee00c0ffee");
}

TEST_CASE("report: smoothing keeps the place of a steep beginning and trails at the end") {
  std::vector<double> losses(100);
  std::iota(losses.rbegin(), losses.rend(), 1);
  const Json loss = run_json(steps_with(losses, std::vector<long>(100, 1)))["steps"]["loss"];
  for (size_t i = 0; i < 98; i++) CHECK(loss["smoothed"][i].get<double>() == doctest::Approx(losses[i]));
  CHECK(loss["smoothed"][99].get<double>() == doctest::Approx(2));  // of 3, 2 and 1
}

TEST_CASE("report: the confusion counts every row once, and agrees with the scores") {
  RunRecord run = example(1, 20, 0);
  run.scores = {0.9f, 0.8f, 0.7f, 0.4f, 0.3f, 0.2f};
  run.labels = {1, 1, 0, 1, 0, 0};
  // F1 by threshold: 0.9: 1/2, 0.8: 4/5, 0.7: 2/3, 0.4: 6/7, 0.3: 3/4. So 0.4: three hits,
  // one false alarm, two rejections.
  const Json validation = run_json(run)["validation"];
  const Json& confusion = validation["confusion"];
  CHECK(validation["rows"] == 6);
  CHECK(confusion["true_positives"] == 3);
  CHECK(confusion["false_negatives"] == 0);
  CHECK(confusion["false_positives"] == 1);
  CHECK(confusion["true_negatives"] == 2);
  CHECK(confusion["true_positive_rate"] == 1);
  CHECK(confusion["false_positive_rate"] == 1.0 / 3);
  CHECK(validation["threshold"] == 0.4f);
  CHECK(validation["f1"].get<double>() == doctest::Approx(0.8571).epsilon(1e-4));
  CHECK(confusion["precision"] == 0.75);
  CHECK(confusion["recall"] == 1);
  CHECK(confusion["accuracy"].get<double>() == doctest::Approx(5 / 6.0));
  CHECK(validation["auc"].get<double>() == doctest::Approx(8 / 9.0));  // eight of nine pairs are in order
  CHECK(validation["roc"]["false_positive_rate"] ==
        Json::array({0.0, 0.0, 0.0, 1 / 3.0, 1 / 3.0, 2 / 3.0, 1.0}));
  CHECK(validation["roc"]["true_positive_rate"] ==
        Json::array({0.0, 1 / 3.0, 2 / 3.0, 2 / 3.0, 1.0, 1.0, 1.0}));
}

TEST_CASE("report: rows of one score pass the threshold together") {
  RunRecord run = example(1, 20, 0);
  run.scores = {0.9f, 0.5f, 0.5f, 0.1f};
  run.labels = {1, 1, 0, 0};
  const Json roc = run_json(run)["validation"]["roc"];
  CHECK(roc["false_positive_rate"] == Json::array({0.0, 0.0, 0.5, 1.0}));
  CHECK(roc["true_positive_rate"] == Json::array({0.0, 0.5, 1.0, 1.0}));
}

TEST_CASE("report: the histogram of scores has every row in its bin") {
  RunRecord run = example(1, 20, 0);
  run.scores = {0.0f, 0.024f, 0.026f, 0.5f, 0.999f, 1.0f};
  run.labels = {0, 0, 1, 0, 1, 1};
  const Json scores = run_json(run)["validation"]["scores"];
  REQUIRE(scores["match"].size() == 40);
  REQUIRE(scores["no_match"].size() == 40);
  CHECK(scores["no_match"][0] == 2);
  CHECK(scores["match"][1] == 1);
  CHECK(scores["no_match"][20] == 1);
  CHECK(scores["match"][39] == 2);
}

TEST_CASE("report: the epochs have every measure") {
  RunRecord run = example(2, 20);
  run.epochs[0] = {1, 3.5, 4.25, 1.125, 0.75, 900, 61.5, 0.625, 0.71875, 0.6875, 0.4, 0.73, 0.703125, 1.7e9};
  const Json json = run_json(run);
  CHECK(json["epochs"][0] ==
        Json::parse(R"({"epoch":1,"loss":3.5,"loss_mlm":4.25,"loss_cls":1.125,"auc":0.75,"pairs_per_s":900.0,
                        "seconds":61.5,"log_loss":0.625,"accuracy":0.71875,"f1":0.6875,"best_threshold":0.4,
                        "accuracy_at_best_f1":0.73,"best_f1":0.703125,"time":1700000000.0,"elapsed":61.5})"));
  CHECK(json["epochs"][1]["elapsed"] == 123);
  CHECK(json["best_epoch"] == 1);
}

TEST_CASE("report: page and run.json are written whole") {
  const TemporaryFolder folder;
  const RunRecord run = example(2, 20);
  write_report(folder / "report.html", folder / "run.json", run);
  CHECK(contents(folder / "report.html") == report_html(run));
  CHECK(Json::parse(contents(folder / "run.json")) == embedded_json(report_html(run)));
  CHECK(folder.count_files() == 2);
}

TEST_CASE("report: the machine's facts begin with the device and end with the compiler") {
  const std::vector<Fact> facts = environment("GPU X");
  REQUIRE(facts.size() >= 3);
  CHECK(facts.front() == Fact("Device", "GPU X"));
  CHECK(facts.back().first == "Build");
  for (const Fact& fact : facts) CHECK_MESSAGE(!fact.second.empty(), fact.first);
}
