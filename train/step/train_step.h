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

// Loss sums over steps; fetched only on demand, so that a step blocks on nothing.
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
  float fgm_epsilon = 0;          // FGM (Miyato et al. 2017): perturbation norm; 0: off
  Shards shards{};                // of this process
  ProcessGroup* group = nullptr;  // needed for more than one shard
};

// All that a checkpoint needs beside parameters and Adam's moments.
struct TrainStepState {
  uint32_t pass = 0;          // forward passes so far: dropout's key
  long updates = 0;           // Adam steps
  std::vector<double> sums;   // [shards, 4]: losses since take_losses()
  std::vector<double> norms;  // history of the outlier filter; empty: off
};

class TrainStep {
 public:
  TrainStep(StepResources& resources, const TrainStepConfig& config);

  void take(const Batch& batch, double lr) { take(std::span(&batch, 1), lr); }
  // Gradients of all micro-batches sum to those of the mean loss over all targets. Without shards FGM takes
  // one micro-batch, else throws std::logic_error. With shards, pass those of Loader::next_step().
  void take(std::span<const Batch> micro_batches, double lr);

  // Gathers weights and moments of all processes; call before reading or saving them. Synchronizes.
  void gather() {
    if (sharded_) sharded_->gather();
  }

  // Sums since the last call, of all processes. Synchronizes.
  LossSums take_losses();
  // False once a loss or the last gradient was not finite. Synchronizes.
  bool all_finite();
  // Last gradient norm before clipping. Synchronizes.
  double grad_norm() { return adam_.grad_norm(); }

  Adam& adam() { return adam_; }
  TrainStepState state();  // synchronizes
  void restore(const TrainStepState& state);

 private:
  // Position of a micro-batch in its shard (without shards: in its step). The first overwrites gradients; an
  // update follows the last of a step.
  struct Place {
    bool first = true, last = true;
    bool adversarial = false;  // a pass of its own, with shards
    bool update = false;       // with shards: an update follows
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
  // FGM: squared norm of its gradient, then workspace.
  DeviceArray<double> word_squared_norm_;
};

}  // namespace warpbert
