// A batch in device memory, with all that changes from step to step.
#pragma once
#include <array>
#include <map>

#include "engine/adam.h"
#include "engine/device.h"
#include "engine/graph_cache.h"
#include "model/bert.h"
#include "model/pair_matching.h"
#include "train/data/batch.h"

namespace warpbert {

// Inputs of a pass besides the batch.
struct PassRecord {
  std::array<kernels::RandomState, 2> random{};  // dropout of both passes; [1]: adversarial
  float scale = 0;                               // of the loss
  AdamSteps adam;                                // if an update follows
};

// Batches of equal capacities use equal addresses and share a graph.
class DeviceBatch {
 public:
  explicit DeviceBatch(Device& device) : device_(device) {}
  // Sends all in one copy.
  void upload(const Batch& batch, int max_positions, const PassRecord& record = {});

  const Packing& packing() const { return packing_; }
  const Targets& targets() const { return targets_; }
  const kernels::RandomState* random(int pass = 0) const { return random_ + pass; }
  kernels::AdamStep* adam() const { return adam_; }

 private:
  Device& device_;
  DeviceArray<char> memory_;
  Packing packing_{};
  Targets targets_{};
  const kernels::RandomState* random_ = nullptr;
  kernels::AdamStep* adam_ = nullptr;
};

// Capacities: rows of tokens, rows of targets, sequences + 1, longest sequence in attention tiles; then a tag
// for work that differs by more than the batch.
using BatchKey = std::array<int, 5>;
BatchKey batch_key(const Batch& batch, int max_positions, int tag = 0);

struct BatchSlot {
  explicit BatchSlot(Device& device) : batch(device) {}
  DeviceBatch batch;
  GraphSlot graph;
};
using BatchSlots = std::map<BatchKey, BatchSlot>;

}  // namespace warpbert
