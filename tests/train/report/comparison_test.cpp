#include "train/report/comparison.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "io/error.h"
#include "tests/support/temporary.h"
#include "tests/support/text.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

// Writes a run folder as train does.
std::string write_run(const TemporaryFolder& folder, const std::string& name, const std::string& options,
                      double auc) {
  std::filesystem::create_directories(folder / name);
  folder.write(name + "/config.ini", "[data]\ntrain = /data/pairs.tsv\n" + options);
  MetricsLog log(folder / name + "/metrics.jsonl");
  for (int epoch = 1; epoch <= 3; epoch++) {
    EpochRecord record{epoch, 2.0 / epoch, 3.0 / epoch, 1.0 / epoch, epoch == 2 ? auc : auc - 0.1, 640, 60};
    record.log_loss = 0.25 * epoch;
    log.write(record);
  }
  return folder / name;
}

}  // namespace

TEST_CASE("comparison: results of each run, the options that differ and no others") {
  const TemporaryFolder folder;
  const auto runs = read_runs({write_run(folder, "plain", "[train]\nepochs = 3\n", 0.75),
                               write_run(folder, "averaged", "[train]\nepochs = 3\nema = 0.999\n", 0.8125)});
  const std::string html = comparison_html(runs);
  CHECK(html.find("<h1>2 runs compared</h1>") != html.npos);
  CHECK(
      html.find(
          "<i class='dot c1'></i>plain</th><td>0.7500</td><td>2</td><td>3</td><td>0.5000</td><td>1.0000</td>"
          "<td>640</td><td>3m 00s</td>") != html.npos);
  CHECK(html.find("<i class='dot c2'></i>averaged</th><td>0.8125</td>") != html.npos);
  CHECK(html.find("<th>train.ema</th><td>0</td><td>0.999</td>") != html.npos);
  CHECK(html.find("train.epochs") == html.npos);   // equal
  CHECK(html.find("run.directory") == html.npos);  // always differs
  CHECK(count(html, "<svg") == 5);
  CHECK(count(html, "<polyline class='c1'") == 5);
  CHECK(count(html, "<polyline class='c2'") == 5);
}

TEST_CASE("comparison: folders of one name go by their paths, with or without a slash behind them") {
  const TemporaryFolder folder;
  const std::string a = write_run(folder, "a/run", "", 0.7), b = write_run(folder, "b/run", "", 0.7);
  const std::string c = write_run(folder, "other", "", 0.7);
  const auto runs = read_runs({a, b, c + "/"});
  CHECK(runs[0].name == a);
  CHECK(runs[1].name == b);
  CHECK(runs[2].name == "other");
  CHECK(comparison_html(runs).find("None: the runs have the same options.") != std::string::npos);
}

TEST_CASE("comparison: the name of a folder is text") {
  const TemporaryFolder folder;
  const std::string html = comparison_html(read_runs({write_run(folder, "a&b", "", 0.7)}));
  CHECK(html.find("<title>a&amp;b</title>") != html.npos);
  CHECK(html.find("<h1>a&amp;b</h1>") != html.npos);
}

TEST_CASE("comparison: what is missing is named") {
  const TemporaryFolder folder;
  CHECK(message_of<io::Error>([&] { read_runs({folder / "none"}); }) ==
        folder / "none" + "/config.ini: not found; --run needs the folder of a run");
  folder.write("config.ini", "[data]\ntrain = pairs.tsv\n");
  const std::string here = folder / "";
  CHECK(message_of<io::Error>([&] { read_runs({here}); }) ==
        here + "/metrics.jsonl: not found; --run needs the folder of a run");
}

TEST_CASE("comparison: a run without validation has no AUC, and its page no chart of it") {
  const TemporaryFolder folder;
  const std::string html = comparison_html(
      read_runs({write_run(folder, "a", "", undefined), write_run(folder, "b", "", undefined)}));
  CHECK(html.find("a</th><td>–</td><td>–</td><td>3</td>") != html.npos);
  CHECK(html.find("Validation AUC") == html.npos);
  CHECK(html.find("Loss of the masked tokens") != html.npos);
}
