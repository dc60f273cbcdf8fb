#include "train/report/comparison.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "io/error.h"
#include "tests/support/page.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

// A folder as train leaves it.
std::string write_run(const TemporaryFolder& folder, const std::string& name, const std::string& options,
                      double auc) {
  std::filesystem::create_directories(folder / name);
  folder.write(name + "/config.ini", "[data]\ntrain = /data/pairs.tsv\n" + options);
  MetricsLog log(folder / name + "/metrics.jsonl");
  for (int epoch = 1; epoch <= 3; epoch++) {
    EpochRecord record{epoch, 2.0 / epoch, 3.0 / epoch, 1.0 / epoch, epoch == 2 ? auc : auc - 0.1, 640, 60};
    record.log_loss = 0.25 * epoch, record.time = 1.7e9 + 60 * epoch;
    log.write(record);
  }
  return folder / name;
}

}  // namespace

TEST_CASE("comparison: results of each run, the options that differ and no others") {
  const TemporaryFolder folder;
  const auto runs = read_runs({write_run(folder, "plain", "[train]\nepochs = 3\n", 0.75),
                               write_run(folder, "averaged", "[train]\nepochs = 3\nema = 0.999\n", 0.8125)});
  const Json json = comparison_json(runs);
  CHECK(json["title"] == "2 runs compared");
  REQUIRE(json["runs"].size() == 2);
  const Json& plain = json["runs"][0];
  CHECK(plain["name"] == "plain");
  CHECK(plain["first_record"] == 1.7e9 + 60);
  CHECK(plain["best_auc"] == 0.75);
  CHECK(plain["best_epoch"] == 2);
  CHECK(plain["best_log_loss"] == 0.5);
  CHECK(plain["loss_mlm"] == 1);
  CHECK(plain["pairs_per_s"] == 640);
  CHECK(plain["training_seconds"] == 180);
  CHECK(plain["ended"] == 1.7e9 + 180);
  CHECK(json["runs"][1]["name"] == "averaged");
  CHECK(json["runs"][1]["best_auc"] == 0.8125);
  for (const Json& run : json["runs"]) {
    REQUIRE(run["epochs"].size() == 3);
    for (size_t i = 0; i < 3; i++) {  // what the five charts draw
      const Json& epoch = run["epochs"][i];
      const double n = double(i + 1);
      CHECK(epoch["epoch"] == i + 1);
      CHECK(epoch["elapsed"] == 60 * n);
      CHECK(epoch["log_loss"] == 0.25 * n);
      CHECK(epoch["loss_cls"] == 1 / n);
      CHECK(epoch["loss_mlm"] == 3 / n);
      CHECK(epoch["auc"].is_number());
    }
  }
  // train.epochs is equal; run.directory always differs.
  CHECK(json["differing_options"] == Json::parse(R"([{"name":"train.ema","values":["0","0.999"]}])"));
  const std::string html = comparison_html(runs);
  CHECK(embedded_json(html) == json);
  CHECK(html.find("<title>2 runs compared</title>") != html.npos);
  CHECK(html.find("<li>averaged: best validation AUC 0.8125 in epoch 2</li>") != html.npos);
}

TEST_CASE("comparison: a run alone has no options that differ") {
  const TemporaryFolder folder;
  const Json json = comparison_json(read_runs({write_run(folder, "alone", "", 0.7)}));
  CHECK(json["title"] == "alone");
  CHECK(json["runs"].size() == 1);
  CHECK(!json.contains("differing_options"));
}

TEST_CASE("comparison: a run under way has no results yet") {
  const TemporaryFolder folder;
  folder.write("config.ini", "[data]\ntrain = pairs.tsv\n");
  folder.write("metrics.jsonl", "");
  const Json run = comparison_json(read_runs({folder / ""}))["runs"][0];
  CHECK(run.size() == 2);
  CHECK(run["epochs"] == Json::array());
}

TEST_CASE("comparison: folders of one name go by their paths, with or without a trailing slash") {
  const TemporaryFolder folder;
  const std::string a = write_run(folder, "a/run", "", 0.7), b = write_run(folder, "b/run", "", 0.7);
  const std::string c = write_run(folder, "other", "", 0.7);
  const auto runs = read_runs({a, b, c + "/"});
  CHECK(runs[0].name == a);
  CHECK(runs[1].name == b);
  CHECK(runs[2].name == "other");
  CHECK(comparison_json(runs)["differing_options"] == Json::array());
}

TEST_CASE("comparison: the name of a folder is text") {
  const TemporaryFolder folder;
  const std::string html = comparison_html(read_runs({write_run(folder, "a&<b>", "", 0.7)}));
  CHECK(html.find("<title>a&amp;&lt;b&gt;</title>") != html.npos);
  CHECK(html.find("<h1>a&amp;&lt;b&gt;</h1>") != html.npos);
  CHECK(embedded_json(html)["title"] == "a&<b>");
  CHECK(embedded_json(html)["runs"][0]["name"] == "a&<b>");
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
  const Json json = comparison_json(
      read_runs({write_run(folder, "a", "", undefined), write_run(folder, "b", "", undefined)}));
  const Json& run = json["runs"][0];
  for (const char* key : {"best_auc", "best_epoch", "best_log_loss"}) CHECK_MESSAGE(!run.contains(key), key);
  REQUIRE(run["epochs"].size() == 3);
  for (const Json& epoch : run["epochs"]) {
    CHECK(!epoch.contains("auc"));
    CHECK(epoch["loss_mlm"].is_number());
  }
}
