#include "sharded_update.h"

#include <algorithm>
#include <utility>

namespace warpbert {

ShardedUpdate::ShardedUpdate(ParameterStore& store, Adam& adam, ProcessGroup& group, const Shards& shards)
    : store_(store),
      adam_(adam),
      group_(group),
      sum_(store.device(), group, store.size(), shards),
      squares_(store.device(), kernels::adam_blocks(store.size())),
      records_(store.device(), adam.groups()) {
  bool any = false;
  for (const Parameter& p : store.parameters()) {
    if (p.kind != ParameterKind::vector) continue;
    const size_t end = p.offset + p.padded_size();
    vectors_begin_ = any ? std::min(vectors_begin_, p.offset) : p.offset, any = true;
    vectors_end_ = std::max(vectors_end_, end);
  }
}

// Gathers everybody's slices of the values [first, last) of `data`.
void ShardedUpdate::gather(void* data, size_t value_bytes, size_t first, size_t last) {
  std::vector<size_t> bounds;
  for (const size_t bound : sum_.bounds()) bounds.push_back(std::clamp(bound, first, last) * value_bytes);
  group_.all_gather(store_.device().stream(), data, std::move(bounds));
}

void ShardedUpdate::finish_first_pass(const Parameter& p) {
  const size_t begin = sum_.begin(), slice = sum_.end() - begin;
  sum_.finish(store_.grads());
  if (!first_pass_.size()) first_pass_ = DeviceArray<float>(store_.device(), slice);
  first_pass_.zero();
  kernels::add(store_.device().stream(), first_pass_.data(), store_.grads() + begin, slice);
  has_first_pass_ = true;
  for (float* buffer : {store_.grads(), store_.master_weights()})
    gather(buffer, sizeof(float), p.offset, p.offset + p.padded_size());
}

void ShardedUpdate::finish(const AdamSteps& steps, int* finite) {
  const kernels::Stream stream = store_.device().stream();
  sum_.finish(store_.grads());
  const size_t begin = sum_.begin(), end = sum_.end(), unit = kernels::adam_values_a_block;
  if (std::exchange(has_first_pass_, false))
    kernels::add(stream, store_.grads() + begin, first_pass_.data(), end - begin);
  kernels::block_squares(stream, squares_.data() + begin / unit, store_.grads() + begin, end - begin);
  std::vector<size_t> bounds;
  for (const size_t bound : sum_.bounds()) bounds.push_back(kernels::adam_blocks(bound) * sizeof(double));
  group_.all_gather(stream, squares_.data(), std::move(bounds));
  kernels::sum(stream, adam_.squared_norm(), squares_.data(), squares_.size());
  group_.all_reduce_min(stream, finite);
  records_.upload(steps);
  adam_.finish_slice(records_.data(), finite, begin, end);
  if (store_.rounded()) {
    gather(store_.rounded(), sizeof(bf16), 0, store_.size());
    gather(store_.master_weights(), sizeof(float), vectors_begin_, vectors_end_);
  } else {
    gather(store_.master_weights(), sizeof(float), 0, store_.size());
  }
}

void ShardedUpdate::gather() {
  for (float* buffer : {store_.master_weights(), store_.m(), store_.v(), store_.ema_weights()})
    if (buffer) gather(buffer, sizeof(float), 0, store_.size());
}

}  // namespace warpbert
