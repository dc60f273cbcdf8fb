#include "score_step.h"

#include "engine/tape.h"
#include "train/data/vocabulary.h"

namespace warpbert {

void ScoreStep::start(const Batch& batch) {
  Slot& slot = slots_.try_emplace(key(batch), r_.device).first->second;
  slot.batch.upload(batch, r_.bert.config.max_positions);
  r_.graphs.submit(slot.graph, [&] {
    r_.arena.reset();
    Tape tape(r_.device, r_.gemm, r_.arena, r_.dtype, false);
    const Targets& targets = slot.batch.targets();
    slot.log_p = pair_matching_log_probabilities(tape, r_.bert, slot.batch.packing(), targets.index,
                                                 targets.rows, token::no, token::yes);
  });
  started_ = &slot, started_pairs_ = batch.sequences;
}

std::vector<float> ScoreStep::finish() {
  std::vector<float> host(size_t(started_pairs_) * 2);
  r_.device.download(host.data(), started_->log_p, host.size() * sizeof(float));
  return host;
}

std::vector<float> ScoreStep::log_probabilities(const Batch& batch) {
  start(batch);
  return finish();
}

bool ScoreStep::is_warm(const Batch& batch) const {
  const auto slot = slots_.find(key(batch));
  return slot != slots_.end() && r_.graphs.is_warm(slot->second.graph);
}

}  // namespace warpbert
