#include "completion.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "checkpoint.h"
#include "io/error.h"
#include "io/json.h"
#include "io/npz.h"
#include "io/text.h"
#include "train/report/report.h"

namespace warpbert {

namespace fs = std::filesystem;

namespace {

bool scores_test_file(const Options& options) {
  return !options.data.test.empty() && options.train.stage != Stage::pretrain;
}

// First missing result, or "".
std::string missing_result(const RunDirectory& directory, const Options& options) {
  if (!fs::exists(directory.best())) return directory.best();
  if (scores_test_file(options) && !fs::exists(directory.scores())) return directory.scores();
  return fs::exists(directory.run_json()) ? "" : directory.run_json();
}

// Judges a run whose checkpoints were removed by its run.json.
Completion read_run_json(const RunDirectory& directory, const Options& options, const RunData& data) {
  const auto refuse = [&](const std::string& because) {
    io::fail(
        "{}: this run is finished and its checkpoints were removed: {}; its files stay; set run.directory to "
        "another folder, or remove this one",
        directory.path(), because);
  };
  const std::string missing = missing_result(directory, options);
  if (!missing.empty() && missing == directory.scores())
    refuse("scores.csv, which is missing, is written by predict alone");
  if (!missing.empty()) refuse(missing + " is missing");
  const auto json = io::parse_json(io::read_file(directory.run_json()), directory.run_json());
  if (!json.is_object() || !json.contains("data_hash"))
    refuse("run.json lacks data_hash, so its data cannot be checked");
  if (json.contains("weights_hash") && json["weights_hash"] != hash_text(data.weights_hash))
    throw DataChanged(fmt::format("{}: {}", directory.path(), weights_changed(options.model)));
  if (json["data_hash"] != hash_text(data.start_hash))
    throw DataChanged(
        fmt::format("{}: {} is not what this run was started with; set run.directory to another folder",
                    directory.path(), data_files(options.data)));
  const int wanted = read_options(directory.config()).train.epochs;
  const auto list = json.value("epochs", nlohmann::json::array());
  if (!list.is_array()) refuse("epochs in run.json is no list");
  const int epochs = int(list.size());
  if (epochs == wanted && options.train.epochs > wanted) refuse("it cannot be resumed");
  return {epochs, epochs < wanted};
}

}  // namespace

std::optional<Completion> completion(const RunDirectory& directory, const Options& options,
                                     const RunData& data) {
  if (!fs::exists(directory.report())) return {};
  try {
    const auto checkpoints = directory.checkpoints();
    if (checkpoints.empty()) return read_run_json(directory, options, data);
    std::unique_ptr<io::Archive> checkpoint;
    RunState state;
    try {
      checkpoint = io::open_npz(checkpoints[0]);
      state = read_checkpoint_state(*checkpoint);
    } catch (const io::Error&) {
      return {};  // resuming reports the error
    }
    if (state.epoch <= options.train.epochs && !state.stopped_early) return {};
    if (!fs::exists(directory.best()) && !holds_best(state, options))
      io::fail(
          "{}: missing, and the checkpoint has the weights of a later epoch; set run.directory to another "
          "folder",
          directory.best());
    if (!missing_result(directory, options).empty()) return {};
    check_origin(*checkpoint, state, options, data);
    return Completion{state.epoch - 1, state.stopped_early};
  } catch (const DataChanged& changed) {
    throw DataChanged(fmt::format("{}; its finished model scores other pairs by predict --run {}",
                                  changed.what(), directory.path()));
  }
}

}  // namespace warpbert
