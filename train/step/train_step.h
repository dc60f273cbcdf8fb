// One training step: forward, backward, Adam.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "device_batch.h"
#include "engine/sharded_update.h"
#include "step_resources.h"

namespace warpbert {

// Sums of losses over steps. They stay on the device until they are fetched, so that a step waits for
// nothing.
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

struct TrainStepConfig {
  uint64_t seed = 0;
  AdamOptions adam{};
  // Multiplies the loss by the share of real tokens in the padded batch, as Keras does.
  bool keras_fill = false;
  float fgm_epsilon = 0;  // FGM (Miyato et al. 2017): norm of the perturbation of the word embedding; 0: off
  Shards shards{};        // of this process
  ProcessGroup* group = nullptr;  // for more shards than one
};

// Counters of a TrainStep. With the parameters and Adam's moments they are all that a checkpoint needs.
struct TrainStepState {
  uint32_t pass = 0;          // forward passes so far: the key of dropout's random numbers
  long updates = 0;           // Adam steps
  std::vector<double> sums;   // losses since the last take_losses(): four a shard
  std::vector<double> norms;  // gradient-norm history of the outlier filter; empty when the filter is off
};

class TrainStep {
 public:
  TrainStep(StepResources& resources, const TrainStepConfig& config);

  // Takes a step over `batch`.
  void take(const Batch& batch, double lr) { take(std::span(&batch, 1), lr); }
  // Takes one step over micro-batches: their gradients add up to those of the mean loss over all targets.
  // Without shards FGM takes one micro-batch; more throw std::logic_error. With shards they are the loader's.
  void take(std::span<const Batch> micro_batches, double lr);

  // Gathers weights and moments from all processes. Call before reading or saving them. Synchronizes.
  void gather() {
    if (sharded_) sharded_->gather();
  }

  // Sums since the last call, of all processes. Synchronizes.
  LossSums take_losses();
  // False once a loss, or the last gradient, was not finite: the weights may be damaged. Synchronizes.
  bool all_finite();
  // Norm of the last step's gradient before clipping. Synchronizes.
  double grad_norm() { return adam_.grad_norm(); }

  Adam& adam() { return adam_; }
  TrainStepState state();  // synchronizes
  void restore(const TrainStepState& state);

 private:
  // The place of a micro-batch in its shard, which without shards is the step: the first overwrites
  // gradients. An update follows the last of a step.
  struct Place {
    bool first = true, last = true;
    bool adversarial = false;  // a pass of its own, with shards
    bool update = false;       // with shards: an update of all weights follows
    int shard = 0;             // of this process
  };
  void take_shards(std::span<const Batch> micro_batches, const StepTotals& totals, PassRecord& record);
  void send(const Batch& batch, Place place, const PassRecord& record);
  void send_nothing(Place place, const AdamSteps& steps);
  void enqueue(const DeviceBatch& batch, Place place);
  void enqueue_pass(const DeviceBatch& batch, bool adversarial, bool update, int shard);
  void enqueue_adversarial_pass(const DeviceBatch& batch, bool update, int shard);
  std::vector<double> gather_sums();
  void perturb_word_embedding();

  StepResources& r_;
  TrainStepConfig config_;
  Adam adam_;
  std::optional<ShardedUpdate> sharded_;
  DeviceArray<kernels::AdamStep> steps_;  // of a shard without rows
  BatchSlots slots_;
  uint32_t pass_ = 0;
  DeviceArray<double> sums_;  // [shards, 4]
  DeviceArray<int> finite_;
  DeviceArray<char> perturbed_;  // FGM: the word embedding of the adversarial pass
  // FGM: squared norm of its gradient, then the workspace of that sum.
  DeviceArray<double> word_squared_norm_;
};

}  // namespace warpbert
