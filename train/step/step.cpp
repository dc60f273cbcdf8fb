#include "step.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "engine/ranges.h"
#include "train/data/vocabulary.h"

namespace warpbert {

// Attention's tile size depends on the longest sequence, in steps of 16 tokens.
static int length_capacity(int longest, int max_positions) {
  return std::min((longest + 15) / 16 * 16, max_positions);
}

void DeviceBatch::upload(const Batch& batch, int max_positions, const PassRecord& record) {
  // Kernels read the real counts, the loss scale and the random states from device memory.
  struct Scalars {
    int tokens, targets;
    float scale;
    std::array<kernels::RandomState, 2> random;
  };
  const Scalars scalars{batch.tokens, batch.targets, record.scale, record.random};
  struct Piece {
    const void* values;
    size_t bytes, offset;
  };
  std::vector<Piece> pieces;
  size_t size = 0;
  const auto place = [&](const auto* values, size_t n) {
    pieces.push_back({values, n * sizeof *values, size});
    size = (size + pieces.back().bytes + 255) / 256 * 256;
    return pieces.back().offset;
  };
  const size_t at_scalars = place(&scalars, 1), adam = place(record.adam.data(), record.adam.size()),
               ids = place(batch.ids.data(), batch.ids.size()),
               positions = place(batch.positions.data(), batch.positions.size()),
               order = place(batch.order.data(), batch.order.size()),
               starts = place(batch.starts.data(), batch.starts.size()),
               index = place(batch.target_index.data(), batch.target_index.size()),
               targets = place(batch.target.data(), batch.target.size());
  if (memory_.size() < size) memory_ = DeviceArray<char>(device_, size * 5 / 4);
  char* const host = device_.staging().next(size);
  for (const Piece& piece : pieces)
    if (piece.bytes) std::memcpy(host + piece.offset, piece.values, piece.bytes);
  device_.staging().send(memory_.data(), size);

  const auto at = [&]<class T>(size_t offset, T*) {
    return reinterpret_cast<const T*>(memory_.data() + offset);
  };
  int* const integer = nullptr;
  Scalars* s = reinterpret_cast<Scalars*>(memory_.data() + at_scalars);
  random_ = s->random.data(), adam_ = reinterpret_cast<kernels::AdamStep*>(memory_.data() + adam);
  packing_ = {{int(batch.ids.size()), &s->tokens},
              at(ids, integer),
              at(positions, integer),
              at(order, integer),
              at(starts, integer),
              int(batch.starts.size()) - 1,
              length_capacity(batch.longest, max_positions),
              max_positions};
  targets_ = {{int(batch.target_index.size()), &s->targets},
              at(index, integer),
              at(targets, static_cast<kernels::Target*>(nullptr)),
              &s->scale};
}

Stepper::Stepper(Device& device, Bert& bert, Precision precision, uint64_t seed, AdamOptions adam,
                 bool keras_fill, bool trainable)
    : device_(device),
      bert_(bert),
      dtype_(precision == Precision::bf16 ? DType::bf16 : DType::f32),
      keras_fill_(keras_fill),
      gemm_(device, precision),
      branch_gemm_(device, precision, device.side_stream()),
      arena_(device),
      adam_(trainable ? std::make_unique<Adam>(bert.store, adam) : nullptr),
      random_{seed, 0},
      sums_(device, 4),
      ok_(device, std::vector<int>{1}) {
  sums_.zero();
}

void Stepper::use_adversary(float epsilon) {
  epsilon_ = epsilon;
  adversary_ = DeviceArray<char>(device_, bert_.word->size * size_of(dtype_));
  word_square_ = DeviceArray<double>(device_, 1 + kernels::square_sum_workspace());
}

void Stepper::train(std::span<const Batch> parts, double lr) {
  int targets = 0, tokens = 0, sequences = 0, longest = 0;
  for (const Batch& part : parts) {
    targets += part.targets, tokens += part.tokens, sequences += part.sequences;
    longest = std::max(longest, part.longest);
  }
  if (!targets) return;  // no targets: the reference computes 0/0 here
  if (epsilon_ > 0 && parts.size() > 1)
    throw std::logic_error("step: an adversary takes batches in one part");
  // keras_fill multiplies the loss by the share of real tokens in the padded batch, as Keras does silently.
  const double share = keras_fill_ ? double(tokens) / (double(sequences) * longest) : 1.0;
  PassRecord record;
  record.scale = float(share / targets);
  record.adam = adam_->count(lr);
  for (size_t i = 0; i < parts.size(); i++) {
    const Batch& part = parts[i];
    const Place place{i == 0, i + 1 == parts.size()};
    record.random[0] = {random_.seed, ++random_.pass};
    if (epsilon_ > 0) record.random[1] = {random_.seed, ++random_.pass};
    const Range range("step", Category::forward, random_.pass);
    Slot& slot = training_.try_emplace(key(part, place), device_).first->second;
    slot.batch.upload(part, bert_.config.max_positions, record);
    run(slot, [&] { train(slot, place); });
  }
}

Stepper::Key Stepper::key(const Batch& batch, Place place) const {
  return {int(batch.ids.size()), int(batch.target_index.size()), int(batch.starts.size()),
          length_capacity(batch.longest, bert_.config.max_positions), place.first + 2 * place.last};
}

void Stepper::run(Slot& slot, const std::function<void()>& work) {
  // The first batch runs uncaptured: it allocates memory and chooses algorithms, which a stream capture must
  // not.
  if (slot.uses++ == 0 || !graphs_) return work();
  if (!slot.graph && graphs() >= most_graphs_) return work();
  try {
    if (!slot.graph) slot.graph = std::make_unique<Graph>(device_, work);
  } catch (const NoMemoryForGraph&) {
    most_graphs_ = graphs();
    fmt::print(stderr,
               "warning: the device has memory for {} recorded steps and no more; others go kernel by "
               "kernel, slower "
               "and with the same bits\n",
               most_graphs_);
    return work();
  }
  slot.graph->replay();
}

// Enqueues one micro-batch. Everything that changes between steps is in device memory.
void Stepper::train(Slot& slot, Place place) {
  arena_.reset();
  if (place.first) bert_.store.start_step();
  else bert_.store.continue_step();
  if (place.last) adam_->begin();
  const bool attacked = epsilon_ > 0;
  pass(slot, false, place.last && !attacked);
  if (attacked) {
    Parameter& word = *bert_.word;
    double* square = word_square_.data();
    kernels::square_sum(device_.stream(), square, square + 1, word.grad, word.size);
    const auto move = [&]<class T>(T) {
      kernels::perturb(device_.stream(), reinterpret_cast<T*>(adversary_.data()), word.master, word.grad,
                       square, epsilon_, word.size);
    };
    dtype_ == DType::bf16 ? move(bf16{}) : move(float{});
    void* const unmoved = std::exchange(word.value, adversary_.data());
    arena_.reset();
    pass(slot, true, place.last);
    word.value = unmoved;
  }
  if (!place.last) return;
  const Range range("optimizer", Category::optimizer);
  adam_->finish(slot.batch.adam(), ok_.data());
}

// Forward and backward. `update`: matrix gradients are final after this pass, so Adam may update them early.
void Stepper::pass(Slot& slot, bool adversarial, bool update) {
  const kernels::AdamStep* steps = slot.batch.adam();
  const Targets& targets = slot.batch.targets();
  Tape tape(device_, gemm_, arena_, dtype_, true, slot.batch.random(adversarial));
  if (update && adam_->can_update_early())
    tape.use_branch(branch_gemm_, [&](Parameter& weight) {
      if (weight.kind == ParameterKind::matrix)
        adam_->update(weight, steps, ok_.data(), device_.side_stream());
    });
  else tape.use_branch(branch_gemm_);
  float* loss = pair_matching_loss(tape, bert_, slot.batch.packing(), targets);
  kernels::sum_losses(device_.stream(), adversarial ? nullptr : sums_.data(), ok_.data(), loss,
                      targets.targets, targets.rows);
  tape.backward();
  bert_.store.finish_backward();
}

size_t Stepper::graphs() const {
  const auto recorded = [](const auto& slot) { return slot.second.graph != nullptr; };
  return size_t(std::count_if(training_.begin(), training_.end(), recorded) +
                std::count_if(scoring_.begin(), scoring_.end(), recorded));
}

void Stepper::start_scoring(const Batch& batch) {
  Slot& slot = scoring_.try_emplace(key(batch), device_).first->second;
  slot.batch.upload(batch, bert_.config.max_positions);
  run(slot, [&] { score(slot); });
  scored_ = &slot, scored_pairs_ = batch.sequences;
}

void Stepper::score(Slot& slot) {
  arena_.reset();
  Tape tape(device_, gemm_, arena_, dtype_, false);
  const Targets& targets = slot.batch.targets();
  slot.scores = pair_matching_log_probabilities(tape, bert_, slot.batch.packing(), targets.index,
                                                targets.rows, token::no, token::yes);
}

std::vector<float> Stepper::finish_scoring() {
  std::vector<float> host(size_t(scored_pairs_) * 2);
  device_.download(host.data(), scored_->scores, host.size() * sizeof(float));
  return host;
}

std::vector<float> Stepper::log_probabilities(const Batch& batch) {
  start_scoring(batch);
  return finish_scoring();
}

bool Stepper::is_warm(const Batch& batch) const {
  const auto slot = scoring_.find(key(batch));
  return slot != scoring_.end() && slot->second.uses > (graphs_ ? 1 : 0);  // the second use captures
}

LossSums Stepper::take_losses() {
  const auto sums = sums_.download();
  sums_.zero();
  return {sums[0], sums[1], sums[2], sums[3]};
}

StepperState Stepper::state() {
  StepperState state{random_.pass, adam_->steps(), {}, adam_->norms()};
  const auto sums = sums_.download();
  std::copy(sums.begin(), sums.end(), state.sums.begin());
  return state;
}

void Stepper::restore(const StepperState& state) {
  random_.pass = state.pass;
  adam_->set_steps(state.updates);
  if (!state.norms.empty()) adam_->set_norms(state.norms);
  sums_.upload({state.sums.begin(), state.sums.end()});
}

bool Stepper::all_finite() { return ok_.download()[0] == 1 && adam_->is_finite(); }

}  // namespace warpbert
