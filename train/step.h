// One training step, and the scores of a batch: where the host's batch meets the model on the device.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <vector>

#include "batch.h"
#include "engine/adam.h"
#include "engine/graph.h"
#include "model/pair_matching.h"

namespace warpbert {

// Sums over steps, kept on the device and fetched now and then, so that a step waits for nothing.
struct LossSums {
  double mlm = 0, cls = 0, mlm_targets = 0, cls_targets = 0;
  LossSums& operator+=(const LossSums& o) {
    mlm += o.mlm, cls += o.cls, mlm_targets += o.mlm_targets, cls_targets += o.cls_targets;
    return *this;
  }
  double loss() const { return (mlm + cls) / (mlm_targets + cls_targets); }
  double loss_mlm() const { return mlm / mlm_targets; }
  double loss_cls() const { return cls / cls_targets; }
};

// What a stepper counts; with the parameters and Adam's moments all that a checkpoint of it needs.
struct StepperState {
  uint32_t pass = 0;             // forward passes so far: dropout's random numbers
  long updates = 0;              // of Adam
  std::array<double, 4> sums{};  // the losses since the last take_losses()
};

// A batch in device memory, and what else changes from step to step: one staging buffer, one copy. Batches of equal
// capacities lie at equal places, so that a graph recorded for one serves the others.
class DeviceBatch {
 public:
  explicit DeviceBatch(Device& device) : device_(device) {}
  // keras_fill multiplies the loss by the share of real tokens in the padded batch (recipe.md of the reference: Keras
  // does so silently).
  void upload(const Batch& batch, int max_positions, bool keras_fill, kernels::RandomState random = {},
              AdamSteps adam = {});

  const Packing& packing() const { return packing_; }
  const Targets& targets() const { return targets_; }
  const kernels::RandomState* random() const { return random_; }
  kernels::AdamStep* adam() const { return adam_; }

 private:
  Device& device_;
  DeviceArray<char> memory_;
  std::vector<char> staging_;
  Packing packing_{};
  Targets targets_{};
  const kernels::RandomState* random_ = nullptr;
  kernels::AdamStep* adam_ = nullptr;
};

class Stepper {
 public:
  Stepper(Device& device, Bert& bert, Precision precision, uint64_t seed, AdamOptions adam, bool keras_fill,
          bool trainable = true);

  // Forward, backward, Adam. The second batch of some capacities records the step as a graph, which it and all later
  // ones replay: the same kernels in the same order, hence the same bits. Scoring does so too.
  void train(const Batch& batch, double lr);
  void use_graphs(bool on) { graphs_ = on; }
  size_t graphs() const;  // recorded so far
  // {log p[NO], log p[YES]} of every pair of an evaluation batch, dropout off.
  std::vector<float> log_probabilities(const Batch& batch);
  // The same in two halves, between which the host may do something else: the first sends the batch to the device, the
  // second waits for it. One batch at a time.
  void start_scoring(const Batch& batch);
  std::vector<float> finish_scoring();
  // Whether batches of these capacities were scored often enough to be scored as fast as they can be.
  bool is_warm(const Batch& batch) const;

  // Sums since the last call, and whether every loss so far was finite; waits for the device.
  LossSums take_losses();
  bool all_finite();

  Adam& adam() { return *adam_; }
  Arena& arena() { return arena_; }
  StepperState state();  // waits for the device
  void restore(const StepperState& state);

 private:
  // Batches of the same capacities, and their graph. tokens, targets, starts, longest.
  using Capacities = std::array<int, 4>;
  struct Slot {
    explicit Slot(Device& device) : batch(device) {}
    DeviceBatch batch;
    int uses = 0;
    std::unique_ptr<Graph> graph;
    const float* scores = nullptr;  // of scoring: where the results lie
  };
  Capacities capacities(const Batch& batch) const;
  void run(Slot& slot, void (Stepper::*work)(Slot&));  // as it is, or as a graph
  void step(Slot& slot);
  void score(Slot& slot);

  Device& device_;
  Bert& bert_;
  DType dtype_;
  bool keras_fill_, graphs_ = true;
  Gemm gemm_, branch_gemm_;
  Arena arena_;
  std::map<Capacities, Slot> training_, scoring_;
  const Slot* scored_ = nullptr;  // what start_scoring has sent
  int scored_pairs_ = 0;
  std::unique_ptr<Adam> adam_;
  kernels::RandomState random_;
  DeviceArray<double> sums_;
  DeviceArray<int> ok_;
};

}  // namespace warpbert
