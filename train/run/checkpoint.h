// Checkpoints: all that training changes, in one .npz, so that a run stopped and resumed ends with the bits of one that
// was never stopped.
//
//   <canonical names>, optim.m/<name>, optim.v/<name>   fp32: weights and Adam's moments
//   ema/<name>                                          fp32: the weights' running mean, where one is kept
//   vocab/…, __meta__                                   the vocabulary (vocabulary.h); heads and ε (model_file.h)
//   state/run                                           uint8: JSON, a RunState
//   state/best_scores                                   fp32: the validation rows' scores by the best model so far
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "io/error.h"
#include "train/data/vocabulary.h"
#include "train/step/step.h"

namespace warpbert {

struct TimeSpent {  // seconds
  double training = 0, waiting = 0, scoring = 0, saving = 0;
};

struct RunState {
  long step = 0;          // done, over all epochs
  int epoch = 1;          // the one under way, from 1; one past the last when the run is complete
  int step_in_epoch = 0;  // done of it
  StepperState stepper;
  LossSums epoch_sums;  // of the epoch under way, up to the last step line
  long epoch_pairs = 0;
  double epoch_seconds = 0, seconds = 0;     // of training this epoch; of the run
  TimeSpent spent;                           // of the run
  std::vector<std::pair<double, int>> best;  // (AUC, epoch) of the models kept, the best first
  std::vector<float> best_scores;
  bool stopped_early = false;
  uint64_t data_hash = 0;  // of the tokens, and the labels trained on and measured by
};

// A checkpoint of other data than the run is given now.
struct DataChanged : io::Error {
  using Error::Error;
};

void save_checkpoint(const std::string& path, Bert& bert, const Vocabulary& vocabulary, const RunState& state);

// The state alone, for a look. Throws io::Error for a file that is damaged or no checkpoint.
RunState read_checkpoint_state(const std::string& path);

// All of it. Throws DataChanged when the vocabulary differs from the file's.
RunState load_checkpoint(const std::string& path, Bert& bert, const Vocabulary& vocabulary);

}  // namespace warpbert
