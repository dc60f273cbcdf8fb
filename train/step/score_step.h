// Scores of a batch, dropout off.
#pragma once
#include <map>
#include <vector>

#include "device_batch.h"
#include "step_resources.h"

namespace warpbert {

class ScoreStep {
 public:
  explicit ScoreStep(StepResources& resources) : r_(resources) {}

  // {log p[NO], log p[YES]} of every pair of an evaluation batch.
  std::vector<float> log_probabilities(const Batch& batch);

  // In two halves, between which the host is free; finish() synchronizes. One batch at a time.
  void start(const Batch& batch);
  std::vector<float> finish();

  // True once these capacities are scored at full speed.
  bool is_warm(const Batch& batch) const;

 private:
  struct Slot : BatchSlot {
    using BatchSlot::BatchSlot;
    const float* log_p = nullptr;  // device, [pairs, 2]
  };
  BatchKey key(const Batch& batch) const { return batch_key(batch, r_.bert.config.max_positions); }

  StepResources& r_;
  std::map<BatchKey, Slot> slots_;
  const Slot* started_ = nullptr;
  int started_pairs_ = 0;
};

}  // namespace warpbert
