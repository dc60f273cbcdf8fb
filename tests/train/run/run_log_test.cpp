#include "train/run/run_log.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

StepRecord step(long number) {
  StepRecord r{1, number, 1.5, 2.25, undefined, 1e-5, 812.5, 12345.75};
  r.time = 1700000000.25;
  return r;
}

RunOptions both() {
  RunOptions options;
  options.csv = options.tensorboard = true;
  return options;
}

size_t count_events(const std::string& folder) {
  size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    n += entry.path().filename().string().starts_with("events.out.tfevents.");
  return n;
}

}  // namespace

TEST_CASE("run log: tables have a line a record, all digits, and nothing where nothing is known") {
  const Metrics metrics{{step(50)}, {{1, 0.1, 2.25, 0.125, undefined, 800}}};
  CHECK(steps_csv(metrics) ==
        "epoch,step,loss,loss_mlm,loss_cls,lr,pairs_per_s,tokens_per_s,grad_norm,skipped,tflops,memory_mib,"
        "memory_peak_"
        "mib,"
        "time\n"
        "1,50,1.5,2.25,,1e-05,812.5,12345.75,,0,,,,1700000000.25\n");
  CHECK(epochs_csv(metrics) ==
        "epoch,loss,loss_mlm,loss_cls,auc,pairs_per_s,seconds,log_loss,accuracy,f1,best_threshold,accuracy_"
        "at_best_f1,"
        "best_f1,time\n"
        "1,0.1,2.25,0.125,,800,,,,,,,,\n");
}

TEST_CASE("run log: a column that no record has may be missing") {
  StepRecord first = step(50), second = step(70);
  second.steps = 20;
  const std::string table = steps_csv({{first, second}, {}});
  CHECK(table.find(",time,steps\n1,50,") != table.npos);
  CHECK(table.find("1700000000.25,\n1,70,") != table.npos);
  CHECK(table.ends_with("1700000000.25,20\n"));
}

TEST_CASE("run log: off, it leaves metrics.jsonl alone") {
  const TemporaryFolder folder;
  const RunDirectory directory(folder / "run");
  RunLog log(directory, RunOptions());
  log.write(step(50));
  log.write(EpochRecord{1, 1, 1, 1});
  log.write_tables();
  CHECK(read_metrics(directory.metrics()).steps.size() == 1);
  CHECK(!std::filesystem::exists(directory.steps_csv()));
  CHECK(!std::filesystem::exists(directory.epochs_csv()));
  CHECK(count_events(directory.path()) == 0);
}

TEST_CASE("run log: tables are made anew by every epoch, and when a run is resumed") {
  const TemporaryFolder folder;
  const RunDirectory directory(folder / "run");
  {
    RunLog log(directory, both());
    CHECK(contents(directory.steps_csv()) == steps_csv({}));
    log.write(step(50));
    log.write(step(100));
    log.write(EpochRecord{1, 1, 1, 1});
    log.write(step(150));
    CHECK(contents(directory.steps_csv()) == steps_csv({{step(50), step(100)}, {}}));
    log.write_tables();
    CHECK(contents(directory.steps_csv()) == steps_csv({{step(50), step(100), step(150)}, {}}));
  }
  cut_metrics(directory.metrics(), 100, 0);
  const RunLog log(directory, both());
  CHECK(contents(directory.steps_csv()) == steps_csv({{step(50), step(100)}, {}}));
  CHECK(contents(directory.epochs_csv()) == epochs_csv({}));
}

TEST_CASE("run log: a resumed run has one file of events, with no step twice") {
  const TemporaryFolder folder;
  const RunDirectory directory(folder / "run");
  folder.write("run/events.out.tfevents.0000000001.warpbert", "of the run before");
  folder.write("run/events.jsonl", "another file");
  {
    RunLog log(directory, both());
    for (const int n : {50, 100, 150}) log.write(step(n));
  }
  cut_metrics(directory.metrics(), 100, 0);
  RunLog log(directory, both());
  log.write(step(150));
  CHECK(count_events(directory.path()) == 1);
  CHECK(std::filesystem::exists(folder / "run/events.jsonl"));
  const TensorBoardLog straight(folder / "straight", 0, {{step(50), step(100), step(150)}, {}});
  for (const auto& entry : std::filesystem::directory_iterator(directory.path()))
    if (entry.path().filename().string().starts_with("events.out"))  // equal except for the start time
      CHECK(contents(entry.path()).substr(40) == contents(folder / "straight").substr(40));
  directory.start_over();
  CHECK(count_events(directory.path()) == 0);
  CHECK(!std::filesystem::exists(directory.steps_csv()));
}
