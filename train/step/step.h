// One training step, and the scores of a batch: where the host's batch meets the model on the device.
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
  std::vector<double> norms;     // what outliers are told by
};

// What the passes over a batch need besides it: dropout's random numbers, of the adversarial pass too; what the loss is
// multiplied by; and Adam's rates, where an update follows.
struct PassRecord {
  std::array<kernels::RandomState, 2> random{};
  float scale = 0;
  AdamSteps adam;
};

// A batch in device memory, and what else changes from step to step: one copy. Batches of equal
// capacities lie at equal places, so that a graph recorded for one serves the others.
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

  // Forward, backward, Adam. The second batch of some capacities records the step as a graph, which it and all later
  // ones replay: the same kernels in the same order, hence the same bits. Scoring does so too.
  void train(const Batch& batch, double lr) { train(std::span(&batch, 1), lr); }
  // One step over a batch in parts: their gradients add up to those of the mean loss over all targets.
  void train(std::span<const Batch> parts, double lr);
  void use_graphs(bool on) { graphs_ = on; }
  // So many are recorded at most, or as many as the device has memory for; batches of further capacities go kernel by
  // kernel.
  void limit_graphs(size_t most) { most_graphs_ = most; }
  // Every step is taken at the weights and once more with the word embedding moved by epsilon along its gradient
  // (kernels.h, perturb); both gradients add up. For batches in one part.
  void use_adversary(float epsilon);
  size_t graphs() const;  // recorded so far
  // {log p[NO], log p[YES]} of every pair of an evaluation batch, dropout off.
  std::vector<float> log_probabilities(const Batch& batch);
  // The same in two halves, between which the host may do something else: the first sends the batch to the device, the
  // second waits for it. One batch at a time.
  void start_scoring(const Batch& batch);
  std::vector<float> finish_scoring();
  // Whether batches of these capacities were scored often enough to be scored as fast as they can be.
  bool is_warm(const Batch& batch) const;

  // Sums since the last call; waits for the device.
  LossSums take_losses();
  // Whether every loss so far was finite, and the last gradient: if not, the weights may be spoilt. Waits.
  bool all_finite();

  double grad_norm() { return adam_->grad_norm(); }  // of the last step, before clipping; waits
  Adam& adam() { return *adam_; }
  Arena& arena() { return arena_; }
  StepperState state();  // waits for the device
  void restore(const StepperState& state);

 private:
  // Where a part stands in its step: the first finds no gradients, the last is followed by the update.
  struct Place {
    bool first = true, last = true;
  };
  // Batches of the same capacities and place, and their graph. tokens, targets, starts, longest, place.
  using Key = std::array<int, 5>;
  struct Slot {
    explicit Slot(Device& device) : batch(device) {}
    DeviceBatch batch;
    int uses = 0;
    std::unique_ptr<Graph> graph;
    const float* scores = nullptr;  // of scoring: where the results lie
  };
  Key key(const Batch& batch, Place place) const;
  Key key(const Batch& batch) const { return key(batch, Place()); }
  void run(Slot& slot, const std::function<void()>& work);  // as it is, or as a graph
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
  const Slot* scored_ = nullptr;  // what start_scoring has sent
  int scored_pairs_ = 0;
  std::unique_ptr<Adam> adam_;
  kernels::RandomState random_;
  DeviceArray<double> sums_;
  DeviceArray<int> ok_;
  float epsilon_ = 0;                // of the adversary; 0: none
  DeviceArray<char> adversary_;      // the word embedding, moved
  DeviceArray<double> word_square_;  // Σ g² of its gradient, and the workspace of that
};

}  // namespace warpbert
