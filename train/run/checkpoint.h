// Checkpoints: all training state in one .npz; a resumed run ends with the bits of an uninterrupted one.
//
//   <canonical names>, optim.m/<name>, optim.v/<name>   fp32: master weights, Adam's moments
//   ema/<name>                                          fp32: EMA weights, if train.ema is on
//   vocab/…, __meta__                                   vocabulary (vocabulary.h); heads and ε (model_file.h)
//   state/run                                           uint8: RunState as JSON
//   state/best_scores                                   fp32: validation scores of the best model
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/array.h"
#include "io/error.h"
#include "train/step/session.h"
#include "train/step/train_step.h"

namespace warpbert {

struct TimeSpent {  // seconds
  double training = 0, waiting = 0, scoring = 0, saving = 0;
};

struct RunState {
  long step = 0;          // completed, over all epochs
  int epoch = 1;          // current, from 1; complete: one past the last
  int step_in_epoch = 0;  // completed in this epoch
  TrainStepState train_step;
  LossSums epoch_sums;  // current epoch, up to the last step line
  long epoch_pairs = 0;
  double epoch_seconds = 0, seconds = 0;     // of this epoch, training only; of the run
  TimeSpent spent;                           // of the run
  std::vector<std::pair<double, int>> best;  // (AUC, epoch) of the kept models, best first
  std::vector<float> best_scores;
  bool stopped_early = false;
  uint64_t data_hash = 0;  // of RunData
  // RunData's start_hash and weights_hash as read, and all options but paths; empty in checkpoints of earlier
  // versions.
  uint64_t start_hash = 0;
  std::optional<uint64_t> weights_hash;
  std::map<std::string, std::string> options;
};

// True if the last checkpoint of a complete run has the weights of best.npz.
bool holds_best(const RunState& state, const Options& options);

// A checkpoint of other data, weights or configuration.
struct DataChanged : io::Error {
  using Error::Error;
};

std::string weights_changed(const ModelOptions& model);  // message
std::string data_files(const DataOptions& data);         // "train.tsv or test.tsv"

void save_checkpoint(const std::string& path, Session& session, const RunState& state);

// Throws io::Error if the file is damaged or not a checkpoint.
RunState read_checkpoint_state(io::Archive& archive);

// Throws DataChanged unless the checkpoint is of a run with these options and this data.
void check_origin(io::Archive& archive, const RunState& state, const Options& options, const RunData& data);

// Throws like check_origin.
RunState load_checkpoint(const std::string& path, Session& session);

}  // namespace warpbert
