#include "pair_matching.h"

namespace warpbert {

float* pair_matching_loss(Tape& t, const Bert& bert, const Packing& batch, const Targets& targets) {
  Tensor hidden = encode(t, bert, batch);                          // [N, H]
  Tensor chosen = gather(t, hidden, targets.index, targets.rows);  // [M, H]: the head sees only targets
  Tensor logits = masked_language_model(t, bert, chosen);          // [M, V]
  return cross_entropy(t, logits, *bert.output_bias, targets.targets, targets.scale, bert.config.vocabulary);
}

float* pair_matching_log_probabilities(Tape& t, const Bert& bert, const Packing& batch, const int* cls,
                                       kernels::Rows pairs, int no, int yes) {
  Tensor logits = masked_language_model(t, bert, gather(t, encode(t, bert, batch), cls, pairs));  // [B, V]
  float* out = t.floats("log probabilities", size_t(pairs.capacity) * 2);
  kernels::log_probabilities(t.stream(), out, logits.view(), bert.output_bias->vector(),
                             bert.config.vocabulary, {no, yes});
  return out;
}

}  // namespace warpbert
