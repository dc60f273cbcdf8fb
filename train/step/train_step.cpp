#include "train_step.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "engine/ranges.h"
#include "engine/tape.h"

namespace warpbert {

TrainStep::TrainStep(StepResources& resources, const TrainStepConfig& config)
    : r_(resources),
      config_(config),
      adam_(r_.bert.store, config.adam),
      sums_(r_.device, 4 * size_t(config.shards.count)),
      finite_(r_.device, std::vector<int>{1}) {
  sums_.zero();
  if (config_.shards.count > 1) {
    if (config_.fgm_epsilon > 0) throw std::logic_error("step: FGM takes one shard");
    sharded_.emplace(r_.bert.store, adam_, *config_.group, config_.shards);
  }
  if (config_.fgm_epsilon > 0) {
    perturbed_ = DeviceArray<char>(r_.device, r_.bert.word->size * size_of(r_.dtype));
    word_squared_norm_ = DeviceArray<double>(r_.device, 1 + kernels::squared_norm_workspace());
  }
}

// The loader's totals, or sums over the batches of a caller who has no loader.
static StepTotals step_totals(std::span<const Batch> batches) {
  StepTotals totals = batches[0].totals;
  if (totals.sequences) return totals;
  for (const Batch& batch : batches) {
    totals.targets += batch.targets, totals.tokens += batch.tokens, totals.sequences += batch.sequences;
    totals.longest = std::max(totals.longest, batch.longest);
  }
  return totals;
}

void TrainStep::run(std::span<const Batch> micro_batches, double lr) {
  const StepTotals totals = step_totals(micro_batches);
  if (!totals.targets) return;  // nothing to learn from: the reference divides 0 by 0 here
  const bool fgm = config_.fgm_epsilon > 0;
  if (fgm && micro_batches.size() > 1) throw std::logic_error("step: FGM takes one micro-batch");
  const double share =
      config_.keras_fill ? double(totals.tokens) / (double(totals.sequences) * totals.longest) : 1.0;
  PassRecord record;
  record.scale = float(share / totals.targets);
  record.adam = adam_.count(lr);
  const uint32_t first_pass = pass_;
  int shard = 0;  // of this process
  bool first = true;
  for (size_t i = 0; i < micro_batches.size(); i++) {
    const Batch& batch = micro_batches[i];
    const bool last = sharded_ ? batch.ends_shard : i + 1 == micro_batches.size();
    if (sharded_ && first) pass_ = first_pass;
    record.random[0] = {config_.seed, ++pass_, uint32_t(batch.first_row)};
    if (fgm) record.random[1] = {config_.seed, ++pass_};
    const Range range("step", Category::forward, pass_);
    const int tag = int(first) + 2 * int(last) + 4 * shard;
    if (batch.sequences) {
      const BatchKey key = batch_key(batch, r_.bert.config.max_positions, tag);
      BatchSlot& slot = slots_.try_emplace(key, r_.device).first->second;
      slot.batch.upload(batch, r_.bert.config.max_positions, record);
      r_.graphs.run(slot.graph, [&] { enqueue(slot.batch, {first, last}, shard); });
    } else {
      r_.device.zero(r_.bert.store.grads(), r_.bert.store.size() * sizeof(float));
    }
    first = last;
    if (sharded_ && last) sharded_->add(), shard++;
  }
  if (!sharded_) return;
  pass_ = first_pass + totals.passes;
  const Range range("optimizer", Category::optimizer);
  sharded_->finish(record.adam, finite_.data());
}

// Sends the work of a micro-batch. All that differs from step to step is in device memory.
void TrainStep::enqueue(const DeviceBatch& batch, Place place, int shard) {
  ParameterStore& store = r_.bert.store;
  r_.arena.reset();
  if (place.first) store.start_step();
  else store.continue_step();
  const bool update = place.last && !sharded_, fgm = config_.fgm_epsilon > 0;
  if (update) adam_.begin();
  enqueue_pass(batch, false, update && !fgm, shard);
  if (fgm) {
    perturb_word_embedding();
    void* const word = std::exchange(r_.bert.word->value, perturbed_.data());
    r_.arena.reset();
    enqueue_pass(batch, true, update, shard);
    r_.bert.word->value = word;
  }
  if (!update) return;
  const Range range("optimizer", Category::optimizer);
  adam_.finish(batch.adam(), finite_.data());
}

// Forward and backward. With `update` this pass completes the gradients, and Adam may update matrices beside
// it.
void TrainStep::enqueue_pass(const DeviceBatch& batch, bool adversarial, bool update, int shard) {
  const kernels::AdamStep* steps = batch.adam();
  const Targets& targets = batch.targets();
  Tape tape(r_.device, r_.gemm, r_.arena, r_.dtype, true, batch.random(adversarial));
  if (update && adam_.can_update_early())
    tape.use_side_stream(r_.side_gemm, [&](Parameter& weight) {
      if (weight.kind == ParameterKind::matrix)
        adam_.update(weight, steps, finite_.data(), r_.device.side_stream());
    });
  else tape.use_side_stream(r_.side_gemm);
  double* const sums = sums_.data() + 4 * (config_.shards.first + shard);
  float* loss = pair_matching_loss(tape, r_.bert, batch.packing(), targets);
  kernels::sum_losses(r_.device.stream(), adversarial ? nullptr : sums, finite_.data(), loss, targets.targets,
                      targets.rows);
  tape.backward();
  r_.bert.store.finish_backward();
}

// perturbed = master + epsilon·g/‖g‖ (kernels.h, perturb).
void TrainStep::perturb_word_embedding() {
  const Parameter& word = *r_.bert.word;
  double* square = word_squared_norm_.data();
  kernels::squared_norm(r_.device.stream(), square, square + 1, word.grad, word.size);
  View perturbed = word.view();
  perturbed.data = perturbed_.data();
  kernels::perturb(r_.device.stream(), perturbed, word.master, word.grad, square, config_.fgm_epsilon);
}

std::vector<double> TrainStep::gather_sums() {
  if (sharded_) {
    std::vector<size_t> bounds;
    for (int r = 0; r <= config_.group->size(); r++)
      bounds.push_back(size_t(config_.shards.local() * r) * 4 * sizeof(double));
    config_.group->all_gather(r_.device.stream(), sums_.data(), std::move(bounds));
  }
  return sums_.download();
}

LossSums TrainStep::take_losses() {
  LossSums losses;
  const std::vector<double> sums = gather_sums();
  sums_.zero();
  for (size_t i = 0; i < sums.size(); i += 4) losses += {sums[i], sums[i + 1], sums[i + 2], sums[i + 3]};
  return losses;
}

TrainStepState TrainStep::state() { return {pass_, adam_.steps(), gather_sums(), adam_.norms()}; }

void TrainStep::restore(const TrainStepState& state) {
  pass_ = state.pass;
  adam_.set_steps(state.updates);
  if (!state.norms.empty()) adam_.set_norms(state.norms);
  sums_.upload(state.sums);
}

bool TrainStep::all_finite() { return finite_.download()[0] == 1 && adam_.is_finite(); }

}  // namespace warpbert
