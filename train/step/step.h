// One training step, and scoring of one batch.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/adam.h"
#include "engine/graph.h"
#include "model/pair_matching.h"
#include "train/data/batch.h"

namespace warpbert {

// Sums over steps. The device accumulates them, so that a step never synchronizes.
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

// Counters of a Stepper; a checkpoint needs only these, the parameters and Adam's moments.
struct StepperState {
  uint32_t pass = 0;             // forward passes so far: selects dropout's random numbers
  long updates = 0;              // Adam updates
  std::array<double, 4> sums{};  // loss sums since the last take_losses()
  std::vector<double> norms;     // gradient-norm history of the outlier filter
};

// Per-step inputs besides the batch: dropout's random states (forward and adversarial pass), loss scale, and
// Adam's learning rates.
struct PassRecord {
  std::array<kernels::RandomState, 2> random{};
  float scale = 0;
  AdamSteps adam;
};

// A batch and its per-step inputs in device memory, uploaded in one copy. Equal capacities give equal
// layouts, so that one captured graph serves them all.
class DeviceBatch {
 public:
  explicit DeviceBatch(Device& device) : device_(device) {}
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

class Stepper {
 public:
  Stepper(Device& device, Bert& bert, Precision precision, uint64_t seed, AdamOptions adam, bool keras_fill,
          bool trainable = true);

  // Forward, backward, Adam. The second batch of given capacities captures a graph, which it and later ones
  // launch: same kernels, same order, same bits. Scoring does the same.
  void train(const Batch& batch, double lr) { train(std::span(&batch, 1), lr); }
  // One step over micro-batches: gradients accumulate to that of the mean loss over all targets.
  void train(std::span<const Batch> parts, double lr);
  void use_graphs(bool on) { graphs_ = on; }
  // Maximum number of graphs; device memory may limit it further. Other batches launch single kernels.
  void limit_graphs(size_t most) { most_graphs_ = most; }
  // Adds an adversarial pass (FGM) to every step, with the word embedding perturbed by epsilon along its
  // gradient (kernels.h, perturb); gradients add up. Needs one micro-batch per step.
  void use_adversary(float epsilon);
  size_t graphs() const;  // captured so far
  // Returns {log p[NO], log p[YES]} of each pair, [B, 2], dropout off.
  std::vector<float> log_probabilities(const Batch& batch);
  // The same in two halves: the first enqueues, the second synchronizes. One batch at a time.
  void start_scoring(const Batch& batch);
  std::vector<float> finish_scoring();
  // Returns whether such batches score at full speed: allocated, and captured if graphs are on.
  bool is_warm(const Batch& batch) const;

  // Sums since the last call; synchronizes.
  LossSums take_losses();
  // Returns whether all losses so far and the last gradient are finite; if not, weights may be corrupt.
  // Synchronizes.
  bool all_finite();

  double grad_norm() { return adam_->grad_norm(); }  // of the last step, before clipping; synchronizes
  Adam& adam() { return *adam_; }
  Arena& arena() { return arena_; }
  StepperState state();  // synchronizes
  void restore(const StepperState& state);

 private:
  // Position of a micro-batch: the first starts from no gradients, the update follows the last.
  struct Place {
    bool first = true, last = true;
  };
  // Identifies batches that share a graph: tokens, targets, starts, longest, place.
  using Key = std::array<int, 5>;
  struct Slot {
    explicit Slot(Device& device) : batch(device) {}
    DeviceBatch batch;
    int uses = 0;
    std::unique_ptr<Graph> graph;
    const float* scores = nullptr;  // scoring only: results on the device
  };
  Key key(const Batch& batch, Place place) const;
  Key key(const Batch& batch) const { return key(batch, Place()); }
  void run(Slot& slot, const std::function<void()>& work);  // directly, or as a graph
  void train(Slot& slot, Place place);
  void pass(Slot& slot, bool adversarial, bool update);
  void score(Slot& slot);

  Device& device_;
  Bert& bert_;
  DType dtype_;
  bool keras_fill_, graphs_ = true;
  size_t most_graphs_ = 256;
  Gemm gemm_, branch_gemm_;
  Arena arena_;
  std::map<Key, Slot> training_, scoring_;
  const Slot* scored_ = nullptr;  // set by start_scoring
  int scored_pairs_ = 0;
  std::unique_ptr<Adam> adam_;
  kernels::RandomState random_;
  DeviceArray<double> sums_;
  DeviceArray<int> ok_;
  float epsilon_ = 0;                // length of the FGM perturbation; 0: off
  DeviceArray<char> adversary_;      // perturbed word embedding
  DeviceArray<double> word_square_;  // Σ g² of its gradient, then workspace
};

}  // namespace warpbert
