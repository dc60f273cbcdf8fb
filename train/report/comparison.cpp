#include "comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/error.h"
#include "report.h"

namespace warpbert {

namespace fs = std::filesystem;

std::vector<ComparedRun> read_runs(const std::vector<std::string>& folders) {
  std::vector<ComparedRun> runs;
  const auto name = [](const std::string& folder) {
    return fs::absolute(folder / fs::path()).lexically_normal().parent_path().filename().string();
  };
  for (const std::string& folder : folders) {
    const std::string config = folder + "/config.ini", metrics = folder + "/metrics.jsonl";
    for (const std::string& file : {config, metrics})
      if (!fs::exists(file)) io::fail("{}: not found; --run needs the folder of a run", file);
    const bool unique = std::count_if(folders.begin(), folders.end(), [&](const std::string& other) {
                          return name(other) == name(folder);
                        }) == 1;
    runs.push_back({unique ? name(folder) : folder, read_options(config), read_metrics(metrics)});
  }
  return runs;
}

namespace {

// The epoch of the highest AUC, or nullptr.
const EpochRecord* best(const ComparedRun& run) {
  const EpochRecord* found = nullptr;
  for (const EpochRecord& e : run.metrics.epochs)
    if (std::isfinite(e.auc) && (!found || e.auc > found->auc)) found = &e;
  return found;
}

Json compared_run_json(const ComparedRun& run) {
  const auto& epochs = run.metrics.epochs;
  Json json{{"name", run.name}, {"epochs", epochs_json(epochs)}};
  add_known(json, "first_record", run.metrics.first_record);
  if (const EpochRecord* top = best(run)) {
    json["best_auc"] = top->auc, json["best_epoch"] = top->epoch;
    add_known(json, "best_log_loss", top->log_loss);
  }
  if (epochs.empty()) return json;
  add_known(json, "ended", epochs.back().time);
  add_known(json, "loss_mlm", epochs.back().loss_mlm);
  add_known(json, "pairs_per_s", epochs.back().pairs_per_s);
  double seconds = 0;
  for (const EpochRecord& e : epochs) seconds += e.seconds;
  add_known(json, "training_seconds", seconds);
  return json;
}

// Options that differ, with each run's value; run.directory always does.
Json differing_options(const std::vector<ComparedRun>& runs) {
  Json json = Json::array();
  for (const OptionInfo& option : option_list()) {
    if (option.name() == "run.directory") continue;
    std::vector<std::string> values;
    for (const ComparedRun& run : runs) values.push_back(option_value(run.options, option.name()));
    if (std::all_of(values.begin(), values.end(), [&](const std::string& v) { return v == values[0]; }))
      continue;
    json.push_back({{"name", option.name()}, {"values", values}});
  }
  return json;
}

std::vector<Fact> main_figures(const std::vector<ComparedRun>& runs) {
  std::vector<Fact> figures;
  for (const ComparedRun& run : runs) {
    const EpochRecord* top = best(run);
    figures.emplace_back(run.name,
                         top ? fmt::format("best validation AUC {:.4f} in epoch {}", top->auc, top->epoch)
                             : "no validation AUC");
  }
  return figures;
}

std::string title_of(const std::vector<ComparedRun>& runs) {
  return runs.size() > 1 ? fmt::format("{} runs compared", runs.size()) : runs.at(0).name;
}

}  // namespace

Json comparison_json(const std::vector<ComparedRun>& runs) {
  Json json{{"title", title_of(runs)}, {"runs", Json::array()}};
  for (const ComparedRun& run : runs) json["runs"].push_back(compared_run_json(run));
  if (runs.size() > 1) json["differing_options"] = differing_options(runs);
  return json;
}

std::string comparison_html(const std::vector<ComparedRun>& runs) {
  return page_html(title_of(runs), comparison_json(runs), main_figures(runs));
}

}  // namespace warpbert
