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
      sums_(r_.device, 4),
      finite_(r_.device, std::vector<int>{1}) {
  sums_.zero();
  if (config_.fgm_epsilon > 0) {
    perturbed_ = DeviceArray<char>(r_.device, r_.bert.word->size * size_of(r_.dtype));
    word_squared_norm_ = DeviceArray<double>(r_.device, 1 + kernels::squared_norm_workspace());
  }
}

void TrainStep::run(std::span<const Batch> micro_batches, double lr) {
  int targets = 0, tokens = 0, sequences = 0, longest = 0;
  for (const Batch& batch : micro_batches) {
    targets += batch.targets, tokens += batch.tokens, sequences += batch.sequences;
    longest = std::max(longest, batch.longest);
  }
  if (!targets) return;  // nothing to learn from: the reference divides 0 by 0 here
  const bool fgm = config_.fgm_epsilon > 0;
  if (fgm && micro_batches.size() > 1) throw std::logic_error("step: FGM takes one micro-batch");
  const double share = config_.keras_fill ? double(tokens) / (double(sequences) * longest) : 1.0;
  PassRecord record;
  record.scale = float(share / targets);
  record.adam = adam_.count(lr);
  for (size_t i = 0; i < micro_batches.size(); i++) {
    const Batch& batch = micro_batches[i];
    const Place place{i == 0, i + 1 == micro_batches.size()};
    record.random[0] = {config_.seed, ++pass_};
    if (fgm) record.random[1] = {config_.seed, ++pass_};
    const Range range("step", Category::forward, pass_);
    const BatchKey key = batch_key(batch, r_.bert.config.max_positions, place.first + 2 * place.last);
    BatchSlot& slot = slots_.try_emplace(key, r_.device).first->second;
    slot.batch.upload(batch, r_.bert.config.max_positions, record);
    r_.graphs.run(slot.graph, [&] { enqueue(slot.batch, place); });
  }
}

// Sends the work of a micro-batch. All that differs from step to step is in device memory.
void TrainStep::enqueue(const DeviceBatch& batch, Place place) {
  ParameterStore& store = r_.bert.store;
  r_.arena.reset();
  if (place.first) store.start_step();
  else store.continue_step();
  if (place.last) adam_.begin();
  const bool fgm = config_.fgm_epsilon > 0;
  enqueue_pass(batch, false, place.last && !fgm);
  if (fgm) {
    perturb_word_embedding();
    void* const word = std::exchange(r_.bert.word->value, perturbed_.data());
    r_.arena.reset();
    enqueue_pass(batch, true, place.last);
    r_.bert.word->value = word;
  }
  if (!place.last) return;
  const Range range("optimizer", Category::optimizer);
  adam_.finish(batch.adam(), finite_.data());
}

// Forward and backward. With `update` this pass completes the gradients, and Adam may update matrices beside
// it.
void TrainStep::enqueue_pass(const DeviceBatch& batch, bool adversarial, bool update) {
  const kernels::AdamStep* steps = batch.adam();
  const Targets& targets = batch.targets();
  Tape tape(r_.device, r_.gemm, r_.arena, r_.dtype, true, batch.random(adversarial));
  if (update && adam_.can_update_early())
    tape.use_side_stream(r_.side_gemm, [&](Parameter& weight) {
      if (weight.kind == ParameterKind::matrix)
        adam_.update(weight, steps, finite_.data(), r_.device.side_stream());
    });
  else tape.use_side_stream(r_.side_gemm);
  float* loss = pair_matching_loss(tape, r_.bert, batch.packing(), targets);
  kernels::sum_losses(r_.device.stream(), adversarial ? nullptr : sums_.data(), finite_.data(), loss,
                      targets.targets, targets.rows);
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

LossSums TrainStep::take_losses() {
  const auto sums = sums_.download();
  sums_.zero();
  return {sums[0], sums[1], sums[2], sums[3]};
}

TrainStepState TrainStep::state() {
  TrainStepState state{pass_, adam_.steps(), {}, adam_.norms()};
  const auto sums = sums_.download();
  std::copy(sums.begin(), sums.end(), state.sums.begin());
  return state;
}

void TrainStep::restore(const TrainStepState& state) {
  pass_ = state.pass;
  adam_.set_steps(state.updates);
  if (!state.norms.empty()) adam_.set_norms(state.norms);
  sums_.upload({state.sums.begin(), state.sums.end()});
}

bool TrainStep::all_finite() { return finite_.download()[0] == 1 && adam_.is_finite(); }

}  // namespace warpbert
