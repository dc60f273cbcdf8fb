#include "train/metrics_log.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "io/error.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

StepRecord step(int epoch, long number) { return {epoch, number, 1.5, 2.25, 0.125, 1e-5, 812.5, 12345.75}; }
EpochRecord epoch(int number) { return {number, 1.5, 2.25, 0.125, 0.875, 800, 12.5}; }

// Two epochs of 100 steps, logged every 50.
void write_run(const std::string& path) {
  MetricsLog log(path);
  for (int e = 1; e <= 2; e++) {
    log.write(step(e, e * 100 - 50));
    log.write(step(e, e * 100));
    log.write(epoch(e));
  }
}

}  // namespace

TEST_CASE("metrics log: the lines of the format, each there as soon as it is written") {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  MetricsLog log(path);
  log.write(step(1, 50));
  const std::string first =
      R"({"kind":"step","epoch":1,"step":50,"loss":1.5,"loss_mlm":2.25,"loss_cls":0.125,"lr":1e-05,"pairs_per_s":812.5,"tokens_per_s":12345.75})"
      "\n";
  CHECK(contents(path) == first);
  log.write(epoch(1));
  CHECK(
      contents(path) ==
      first +
          R"({"kind":"epoch","epoch":1,"loss":1.5,"loss_mlm":2.25,"loss_cls":0.125,"auc":0.875,"pairs_per_s":800.0,"seconds":12.5})"
          "\n");
}

TEST_CASE("metrics log: undefined numbers are null, and come back undefined") {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  {
    MetricsLog log(path);
    log.write(EpochRecord{3, 1.5, 2.0, INFINITY});
    log.write(StepRecord{3, 7, undefined, 1, 1, 1, 1, 1});
  }
  std::istringstream lines(contents(path));
  std::string line;
  std::getline(lines, line);
  const auto json = nlohmann::json::parse(line);
  CHECK(json.at("auc").is_null());
  CHECK(json.at("loss_cls").is_null());
  const Metrics metrics = read_metrics(path);
  REQUIRE(metrics.epochs.size() == 1);
  REQUIRE(metrics.steps.size() == 1);
  CHECK(metrics.epochs[0].loss_mlm == 2.0);
  CHECK(std::isnan(metrics.epochs[0].auc));
  CHECK(std::isnan(metrics.epochs[0].loss_cls));
  CHECK(std::isnan(metrics.steps[0].loss));
}

TEST_CASE("metrics log: what is read is what was written, to the last bit") {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  const StepRecord s{2, 5'000'000'000, 1.0 / 3, 0.1, 1e-300, 1e-5, 2.0 / 3, 1e9 / 7};
  const EpochRecord e{2, 1.0 / 3, 0.1, 1e-300, 0.9432179482034, 2.0 / 3, 1e9 / 7};
  MetricsLog(path).write(s);
  MetricsLog(path).write(e);  // appends
  const Metrics metrics = read_metrics(path);
  REQUIRE(metrics.steps.size() == 1);
  REQUIRE(metrics.epochs.size() == 1);
  const StepRecord& rs = metrics.steps[0];
  CHECK(rs.epoch == s.epoch);
  CHECK(rs.step == s.step);
  CHECK(rs.loss == s.loss);
  CHECK(rs.loss_mlm == s.loss_mlm);
  CHECK(rs.loss_cls == s.loss_cls);
  CHECK(rs.lr == s.lr);
  CHECK(rs.pairs_per_s == s.pairs_per_s);
  CHECK(rs.tokens_per_s == s.tokens_per_s);
  const EpochRecord& re = metrics.epochs[0];
  CHECK(re.epoch == e.epoch);
  CHECK(re.loss == e.loss);
  CHECK(re.loss_mlm == e.loss_mlm);
  CHECK(re.loss_cls == e.loss_cls);
  CHECK(re.auc == e.auc);
  CHECK(re.pairs_per_s == e.pairs_per_s);
  CHECK(re.seconds == e.seconds);
}

TEST_CASE("metrics log: cut back to a checkpoint") {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  write_run(path);
  const std::string whole = contents(path);

  cut_metrics(path, 200, 2);
  CHECK(contents(path) == whole);
  cut_metrics(path, 170, 1);  // in the middle of epoch 2
  Metrics metrics = read_metrics(path);
  REQUIRE(metrics.steps.size() == 3);
  CHECK(metrics.steps.back().step == 150);
  CHECK(metrics.epochs.size() == 1);
  CHECK(whole.rfind(contents(path), 0) == 0);
  cut_metrics(path, 100, 0);  // trained, but not yet validated
  metrics = read_metrics(path);
  CHECK(metrics.steps.size() == 2);
  CHECK(metrics.epochs.empty());
  cut_metrics(path, 0, 0);
  CHECK(contents(path).empty());
  CHECK(folder.count_files() == 1);

  cut_metrics(folder / "absent", 1, 1);
  CHECK(folder.count_files() == 1);
}

TEST_CASE("metrics log: a last line without its end is passed over, and cut away") {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  write_run(path);
  const std::string whole = contents(path);
  folder.write("metrics.jsonl", whole + R"({"kind":"step","epo)");
  CHECK(read_metrics(path).steps.size() == 4);
  cut_metrics(path, 1000, 1000);
  CHECK(contents(path) == whole);
}

TEST_CASE("metrics log: lines of another kind stay; a broken one is named") {
  const TemporaryFolder folder;
  const std::string path = folder.write("metrics.jsonl", "{\"kind\":\"note\",\"text\":\"x\"}\n");
  CHECK(read_metrics(path).steps.empty());
  cut_metrics(path, 0, 0);
  CHECK(contents(path) == "{\"kind\":\"note\",\"text\":\"x\"}\n");

  for (const char* broken : {"loss 3", "[1]", "{}", "{\"kind\":\"step\"}", "{\"kind\":\"epoch\",\"epoch\":\"one\"}"}) {
    folder.write("metrics.jsonl", "{\"kind\":\"note\"}\n" + std::string(broken) + "\n");
    CAPTURE(broken);
    CHECK(message_of<io::Error>([&] { read_metrics(path); }).rfind(path + ": line 2: ", 0) == 0);
    CHECK(message_of<io::Error>([&] { cut_metrics(path, 1, 1); }).rfind(path + ": line 2: ", 0) == 0);
  }
}

TEST_CASE("metrics log: a full disk and a missing folder are named") {
  const TemporaryFolder folder;
  CHECK(message_of<io::Error>([&] { MetricsLog(folder / "no/metrics.jsonl"); }) ==
        folder / "no/metrics.jsonl" + ": cannot be opened to append: No such file or directory");
  MetricsLog log("/dev/full");
  CHECK(message_of<io::Error>([&] { log.write(epoch(1)); }) == "/dev/full: cannot be written: No space left on device");
}
