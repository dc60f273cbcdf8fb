#include "sharded_update.h"

#include <algorithm>
#include <utility>

namespace warpbert {

ShardedUpdate::ShardedUpdate(ParameterStore& store, Adam& adam, ProcessGroup& group, const Shards& shards)
    : store_(store),
      device_(store.device()),
      adam_(adam),
      group_(group),
      squares_(device_, kernels::adam_blocks(store.size())) {
  group.connect();
  cut_into_buckets(shards);
  size_t most = 0;
  for (const Bucket& bucket : buckets_) most = std::max(most, bucket.sum.workspace());
  workspace_ = DeviceArray<float>(device_, most);
}

// About sixteen buckets: enough to overlap with backward, each large enough for the links (BERT-base: 20
// MiB). Bounds are those of Adam's blocks.
void ShardedUpdate::cut_into_buckets(const Shards& shards) {
  constexpr size_t unit = kernels::adam_values_a_block, most_buckets = 16;
  const size_t matrices_end = store_.vectors().first;
  std::vector<size_t> bounds{0};
  for (const Parameter& p : store_.parameters()) {  // matrices are in memory as they were declared
    const size_t end = kernels::adam_blocks(p.offset + p.padded_size()) * unit;
    if (p.kind == ParameterKind::matrix && end <= matrices_end &&
        end - bounds.back() >= matrices_end / most_buckets)
      bounds.push_back(end);
  }
  bounds.push_back(store_.size());
  for (size_t i = 0; i + 1 < bounds.size(); i++) {
    buckets_.push_back({ShardSum(device_, group_, shards, bounds[i], bounds[i + 1]), {}});
    for (const Parameter& p : store_.parameters())
      if (p.kind == ParameterKind::matrix && p.offset < bounds[i + 1] &&
          p.offset + p.padded_size() > bounds[i])
        buckets_.back().matrices.push_back(&p);
  }
}

void ShardedUpdate::add(int shard) {
  for (const Bucket& bucket : buckets_) bucket.sum.add(device_.stream(), store_.grads(), shard);
}

void ShardedUpdate::begin(kernels::AdamStep* steps, int* finite) {
  steps_ = steps, finite_ = finite;
  unsent_ = buckets_.size() - 1;
  for (Bucket& bucket : buckets_) bucket.incomplete = bucket.matrices.size();
  device_.follow(device_.exchange_stream(), device_.stream());
  group_.all_reduce_min(device_.exchange_stream(), finite);
}

void ShardedUpdate::complete(const Parameter& matrix) {
  for (Bucket& bucket : buckets_)
    bucket.incomplete -= size_t(std::count(bucket.matrices.begin(), bucket.matrices.end(), &matrix));
  while (unsent_ && !buckets_[unsent_ - 1].incomplete) send(buckets_[--unsent_], device_.side_stream());
}

// Gradients are complete on stream `after`.
void ShardedUpdate::send(Bucket& bucket, kernels::Stream after) {
  const kernels::Stream stream = device_.exchange_stream();
  const size_t begin = bucket.sum.begin(), slice = bucket.sum.end() - begin;
  device_.follow(stream, after);
  bucket.sum.finish(stream, store_.grads(), workspace_.data());
  if (bucket.first_pass.size()) kernels::add(stream, store_.grads() + begin, bucket.first_pass.data(), slice);
  kernels::block_squares(stream, squares_.data() + begin / kernels::adam_values_a_block,
                         store_.grads() + begin, slice);
  if (!adam_.can_update_early()) return;
  adam_.update_slice(steps_, finite_, begin, begin + slice, stream);
  Transfers weights;
  append_weights(weights, bucket);
  group_.all_gather(stream, std::move(weights));
}

void ShardedUpdate::finish() {
  const kernels::Stream stream = device_.exchange_stream();
  while (unsent_) send(buckets_[--unsent_], device_.stream());
  send(buckets_.back(), device_.stream());
  Transfers squares, weights;
  for (const Bucket& bucket : buckets_) {
    const std::vector<size_t>& bounds = bucket.sum.bounds();
    for (int r = 0; r < group_.size(); r++) {
      const size_t begin = kernels::adam_blocks(bounds[size_t(r)]),
                   end = kernels::adam_blocks(bounds[size_t(r) + 1]);
      if (begin < end) squares.push_back({r, squares_.data() + begin, (end - begin) * sizeof(double)});
    }
  }
  group_.all_gather(stream, std::move(squares));
  kernels::sum(stream, adam_.squared_norm(), squares_.data(), squares_.size());
  if (!adam_.can_update_early()) {
    const int* do_update = adam_.clip_and_filter(steps_, finite_, stream);
    for (const Bucket& bucket : buckets_) {
      adam_.update_slice(steps_, do_update, bucket.sum.begin(), bucket.sum.end(), stream);
      append_weights(weights, bucket);
    }
    group_.all_gather(stream, std::move(weights));
  }
  device_.follow(device_.stream(), stream);
}

// Appends every rank's slice of values [first, last) in the bucket.
void ShardedUpdate::append_slices(Transfers& parts, const Bucket& bucket, void* data, size_t value_bytes,
                                  size_t first, size_t last) const {
  const std::vector<size_t>& bounds = bucket.sum.bounds();
  for (int r = 0; r < group_.size(); r++) {
    const size_t begin = std::clamp(bounds[size_t(r)], first, last),
                 end = std::clamp(bounds[size_t(r) + 1], first, last);
    if (begin < end)
      parts.push_back({r, static_cast<char*>(data) + begin * value_bytes, (end - begin) * value_bytes});
  }
}

void ShardedUpdate::append_weights(Transfers& parts, const Bucket& bucket) const {
  if (!store_.rounded())
    return append_slices(parts, bucket, store_.master_weights(), sizeof(float), 0, store_.size());
  append_slices(parts, bucket, store_.rounded(), sizeof(bf16), 0, store_.size());
  const auto [first, last] = store_.vectors();
  append_slices(parts, bucket, store_.master_weights(), sizeof(float), first, last);
}

void ShardedUpdate::gather(float* buffer, size_t first, size_t last) {
  Transfers parts;
  for (const Bucket& bucket : buckets_) append_slices(parts, bucket, buffer, sizeof(float), first, last);
  group_.all_gather(device_.stream(), std::move(parts));
}

void ShardedUpdate::finish_first_pass(const Parameter& p) {
  for (Bucket& bucket : buckets_) {
    const size_t begin = bucket.sum.begin(), slice = bucket.sum.end() - begin;
    bucket.sum.finish(device_.stream(), store_.grads(), workspace_.data());
    if (!bucket.first_pass.size()) bucket.first_pass = DeviceArray<float>(device_, slice);
    bucket.first_pass.zero();
    kernels::add(device_.stream(), bucket.first_pass.data(), store_.grads() + begin, slice);
  }
  for (float* buffer : {store_.grads(), store_.master_weights()})
    gather(buffer, p.offset, p.offset + p.padded_size());
}

void ShardedUpdate::gather() {
  for (float* buffer : {store_.master_weights(), store_.m(), store_.v(), store_.ema_weights()})
    if (buffer) gather(buffer, 0, store_.size());
  device_.synchronize();
}

}  // namespace warpbert
