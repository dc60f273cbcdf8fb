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
  if (config_.shards.count > 1) sharded_.emplace(r_.bert.store, adam_, *config_.group, config_.shards);
  if (config_.fgm_epsilon > 0) {
    perturbed_ = DeviceArray<char>(r_.device, r_.bert.word->size * size_of(r_.dtype));
    word_squared_norm_ = DeviceArray<double>(r_.device, 1 + kernels::squared_norm_workspace());
  }
}

// The loader's totals, or sums for callers without a loader.
static StepTotals step_totals(std::span<const Batch> batches) {
  StepTotals totals = batches[0].totals;
  if (totals.sequences) return totals;
  for (const Batch& batch : batches) {
    totals.targets += batch.targets, totals.tokens += batch.tokens, totals.sequences += batch.sequences;
    totals.longest = std::max(totals.longest, batch.longest);
  }
  return totals;
}

void TrainStep::take(std::span<const Batch> micro_batches, double lr) {
  const StepTotals totals = step_totals(micro_batches);
  if (!totals.targets) return;  // nothing to learn from: the reference divides 0 by 0 here
  const bool fgm = config_.fgm_epsilon > 0;
  if (fgm && !sharded_ && micro_batches.size() > 1) throw std::logic_error("step: FGM takes one micro-batch");
  const double share =
      config_.keras_fill ? double(totals.tokens) / (double(totals.sequences) * totals.longest) : 1.0;
  PassRecord record;
  record.scale = float(share / totals.targets);
  record.adam = adam_.count(lr);
  if (sharded_) return take_shards(micro_batches, totals, record);
  for (size_t i = 0; i < micro_batches.size(); i++) {
    record.random[0] = {config_.seed, ++pass_};
    if (fgm) record.random[1] = {config_.seed, ++pass_};
    send(micro_batches[i], {.first = i == 0, .last = i + 1 == micro_batches.size()}, record);
  }
}

// Equal micro-batches of two shards share a pass number and differ in first_row.
void TrainStep::take_shards(std::span<const Batch> micro_batches, const StepTotals& totals,
                            PassRecord& record) {
  const bool fgm = config_.fgm_epsilon > 0;
  for (const bool adversarial : {false, true}) {
    if (adversarial && !fgm) break;
    Place place{.adversarial = adversarial};
    uint32_t pass = pass_;
    for (const Batch& batch : micro_batches) {
      place.last = batch.ends_shard;
      place.update = place.last && place.shard + 1 == config_.shards.local() && adversarial == fgm;
      record.random[adversarial] = {config_.seed, ++pass, uint32_t(batch.first_row)};
      if (batch.sequences) send(batch, place, record);
      else send_nothing(place, record.adam);
      if (place.last && place.shard + 1 < config_.shards.local()) sharded_->add(place.shard);
      if (place.last) place.shard++, pass = pass_;
      place.first = place.last;
    }
    pass_ += totals.passes;
    if (!fgm || adversarial) continue;
    sharded_->finish_first_pass(*r_.bert.word);
    perturb_word_embedding();
  }
}

// A shard without rows.
void TrainStep::send_nothing(Place place, const AdamSteps& steps) {
  r_.device.zero(r_.bert.store.grads(), r_.bert.store.size() * sizeof(float));
  if (!place.update) return;
  if (!steps_.size()) steps_ = DeviceArray<kernels::AdamStep>(r_.device, steps.size());
  steps_.upload(steps);
  sharded_->begin(steps_.data(), finite_.data());
  sharded_->finish();
}

void TrainStep::send(const Batch& batch, Place place, const PassRecord& record) {
  const Range range("step", Category::forward, pass_);
  const int max_positions = r_.bert.config.max_positions;
  const int tag = int(place.first) + 2 * int(place.last) + 4 * int(place.adversarial) +
                  8 * int(place.update) + 16 * place.shard;
  BatchSlot& slot = slots_.try_emplace(batch_key(batch, max_positions, tag), r_.device).first->second;
  slot.batch.upload(batch, max_positions, record);
  r_.graphs.submit(slot.graph, [&] { enqueue(slot.batch, place); });
}

void TrainStep::enqueue(const DeviceBatch& batch, Place place) {
  ParameterStore& store = r_.bert.store;
  r_.arena.reset();
  if (place.first) store.start_step();
  else store.continue_step();
  if (sharded_) {
    if (place.adversarial) enqueue_adversarial_pass(batch, place.update, place.shard);
    else enqueue_pass(batch, false, place.update, place.shard);
    return;
  }
  const bool fgm = config_.fgm_epsilon > 0;
  if (place.last) adam_.begin();
  enqueue_pass(batch, false, place.last && !fgm, 0);
  if (fgm) {
    perturb_word_embedding();
    r_.arena.reset();
    enqueue_adversarial_pass(batch, place.last, 0);
  }
  if (!place.last) return;
  const Range range("optimizer", Category::optimizer);
  adam_.finish(batch.adam(), finite_.data());
}

// With `update` this pass completes the gradients: matrices, with shards all weights, may be updated during
// backward.
void TrainStep::enqueue_pass(const DeviceBatch& batch, bool adversarial, bool update, int shard) {
  const kernels::AdamStep* steps = batch.adam();
  const Targets& targets = batch.targets();
  Tape tape(r_.device, r_.gemm, r_.arena, r_.dtype, true, batch.random(adversarial));
  if (update && sharded_)
    tape.use_side_stream(r_.side_gemm, [&](Parameter& weight) {
      if (weight.kind == ParameterKind::matrix) sharded_->complete(weight);
    });
  else if (update && adam_.can_update_early())
    tape.use_side_stream(r_.side_gemm, [&](Parameter& weight) {
      if (weight.kind == ParameterKind::matrix)
        adam_.update(weight, steps, finite_.data(), r_.device.side_stream());
    });
  else tape.use_side_stream(r_.side_gemm);
  double* const sums = sums_.data() + 4 * (config_.shards.first + shard);
  float* loss = pair_matching_loss(tape, r_.bert, batch.packing(), targets);
  kernels::sum_losses(r_.device.stream(), adversarial ? nullptr : sums, finite_.data(), loss, targets.targets,
                      targets.rows);
  if (update && sharded_) sharded_->begin(batch.adam(), finite_.data());
  tape.backward();
  r_.bert.store.finish_backward();
  if (!update || !sharded_) return;
  const Range range("optimizer", Category::optimizer);
  sharded_->finish();
}

void TrainStep::enqueue_adversarial_pass(const DeviceBatch& batch, bool update, int shard) {
  void* const word = std::exchange(r_.bert.word->value, perturbed_.data());
  enqueue_pass(batch, true, update, shard);
  r_.bert.word->value = word;
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
    std::vector<ProcessGroup::Transfer> parts;
    const size_t each = 4 * size_t(config_.shards.local());
    for (int r = 0; r < config_.group->size(); r++)
      parts.push_back({r, sums_.data() + each * size_t(r), each * sizeof(double)});
    config_.group->all_gather(r_.device.stream(), std::move(parts));
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
