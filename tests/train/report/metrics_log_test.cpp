#include "train/report/metrics_log.h"

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

StepRecord step(int epoch, long number) {
  return {epoch, number, 1.5, 2.25, 0.125, 1e-5, 812.5, 12345.75, 0.75, 2, 1.25, 512, 640.5, 1.7e9};
}
EpochRecord epoch(int number) {
  return {number, 1.5, 2.25, 0.125, 0.875, 800, 12.5, 0.25, 0.75, 0.5, 0.375, 0.8125, 0.625, 1.7e9};
}

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
      R"({"kind":"step","epoch":1,"step":50,"loss":1.5,"loss_mlm":2.25,"loss_cls":0.125,"lr":1e-05,"pairs_per_s":812.5,"tokens_per_s":12345.75,"grad_norm":0.75,"skipped":2.0,"tflops":1.25,"memory_mib":512.0,"memory_peak_mib":640.5,"time":1700000000.0})"
      "\n";
  CHECK(contents(path) == first);
  log.write(epoch(1));
  CHECK(
      contents(path) ==
      first +
          R"({"kind":"epoch","epoch":1,"loss":1.5,"loss_mlm":2.25,"loss_cls":0.125,"auc":0.875,"pairs_per_s":800.0,"seconds":12.5,"log_loss":0.25,"accuracy":0.75,"f1":0.5,"best_threshold":0.375,"accuracy_at_best_f1":0.8125,"best_f1":0.625,"time":1700000000.0})"
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
  StepRecord s{2, 5'000'000'000, 0, 0, 0, 0, 0, 0};
  EpochRecord e{2, 0, 0, 0};
  double value = 1.0 / 3;  // distinct values without short decimal forms
  for (const auto& field : step_fields()) s.*field.value = value *= -1e9 / 7;
  for (const auto& field : epoch_fields()) e.*field.value = value *= -1e-9 / 7;
  MetricsLog(path).write(s);
  MetricsLog(path).write(e);  // appends
  const Metrics metrics = read_metrics(path);
  REQUIRE(metrics.steps.size() == 1);
  REQUIRE(metrics.epochs.size() == 1);
  CHECK(metrics.steps[0].epoch == s.epoch);
  CHECK(metrics.steps[0].step == s.step);
  CHECK(metrics.epochs[0].epoch == e.epoch);
  for (const auto& field : step_fields())
    CHECK_MESSAGE(metrics.steps[0].*field.value == s.*field.value, field.key);
  for (const auto& field : epoch_fields())
    CHECK_MESSAGE(metrics.epochs[0].*field.value == e.*field.value, field.key);
}

TEST_CASE("metrics log: the fields are all the numbers of a record, each once") {
  // A record is epoch, step and its fields; a field missing from the table changes the size.
  CHECK(sizeof(StepRecord) == 16 + sizeof(double) * step_fields().size());
  CHECK(sizeof(EpochRecord) == 8 + sizeof(double) * epoch_fields().size());
  StepRecord s{};
  for (const auto& field : step_fields()) {
    CHECK_MESSAGE(s.*field.value != 7, field.key);
    s.*field.value = 7;
  }
  EpochRecord e{};
  for (const auto& field : epoch_fields()) {
    CHECK_MESSAGE(e.*field.value != 7, field.key);
    e.*field.value = 7;
  }
}

TEST_CASE("metrics log: the time of the first record that has one") {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  MetricsLog log(path);
  EpochRecord record = epoch(1);
  record.time = undefined;
  log.write(record);
  CHECK(std::isnan(read_metrics(path).first_record));
  record.time = 1.7e9;
  log.write(record);
  record.time = 1.8e9;
  log.write(record);
  CHECK(read_metrics(path).first_record == 1.7e9);
}

TEST_CASE("metrics log: a file of a version that wrote fewer numbers is read") {
  const TemporaryFolder folder;
  const std::string path = folder.write(
      "metrics.jsonl",
      R"({"kind":"step","epoch":1,"step":50,"loss":1.5,"loss_mlm":2.25,"loss_cls":0.125,"lr":1e-05,"pairs_per_s":812.5,"tokens_per_s":12345.75})"
      "\n"
      R"({"kind":"epoch","epoch":1,"loss":1.5,"loss_mlm":2.25,"loss_cls":0.125,"auc":0.875,"pairs_per_s":800.0,"seconds":12.5})"
      "\n");
  const Metrics metrics = read_metrics(path);
  REQUIRE(metrics.steps.size() == 1);
  REQUIRE(metrics.epochs.size() == 1);
  CHECK(metrics.steps[0].tokens_per_s == 12345.75);
  CHECK(std::isnan(metrics.steps[0].grad_norm));
  CHECK(std::isnan(metrics.steps[0].time));
  CHECK(metrics.epochs[0].seconds == 12.5);
  CHECK(std::isnan(metrics.epochs[0].log_loss));
  CHECK(std::isnan(metrics.epochs[0].best_f1));
}

TEST_CASE("metrics log: cut back to a checkpoint") {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  write_run(path);
  const std::string whole = contents(path);

  cut_metrics(path, 200, 2);
  CHECK(contents(path) == whole);
  cut_metrics(path, 170, 1);  // mid epoch 2
  Metrics metrics = read_metrics(path);
  REQUIRE(metrics.steps.size() == 3);
  CHECK(metrics.steps.back().step == 150);
  CHECK(metrics.epochs.size() == 1);
  CHECK(whole.rfind(contents(path), 0) == 0);
  cut_metrics(path, 100, 0);  // before validation of epoch 1
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

TEST_CASE("metrics log: lines of another kind stay, and a broken one is named") {
  const TemporaryFolder folder;
  const std::string path = folder.write("metrics.jsonl", "{\"kind\":\"note\",\"text\":\"x\"}\n");
  CHECK(read_metrics(path).steps.empty());
  cut_metrics(path, 0, 0);
  CHECK(contents(path) == "{\"kind\":\"note\",\"text\":\"x\"}\n");

  for (const char* broken :
       {"loss 3", "[1]", "{}", "{\"kind\":\"step\"}", "{\"kind\":\"epoch\",\"epoch\":\"one\"}",
        "{\"kind\":\"epoch\",\"epoch\":1.5}", "{\"kind\":\"epoch\",\"epoch\":1e300}",
        "{\"kind\":\"epoch\",\"epoch\":4294967297}"}) {
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
  CHECK(message_of<io::Error>([&] { log.write(epoch(1)); }) ==
        "/dev/full: cannot be written: No space left on device");
}

TEST_CASE(
    "metrics log: steps of a line and the label loss of training are omitted where they are undefined") {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  MetricsLog log(path);
  StepRecord s = step(1, 50);
  EpochRecord e = epoch(1);
  log.write(s), log.write(e);
  CHECK(contents(path).find("\"steps\"") == std::string::npos);
  CHECK(contents(path).find("train_log_loss") == std::string::npos);
  s.steps = 20, e.train_log_loss = 0.125;
  log.write(s), log.write(e);
  const Metrics metrics = read_metrics(path);
  CHECK(std::isnan(metrics.steps[0].steps));
  CHECK(metrics.steps[1].steps == 20);
  CHECK(metrics.epochs[1].train_log_loss == 0.125);
}
