#include "shards.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <utility>

namespace warpbert {
namespace {

bool are_siblings(const TreeNode& left, const TreeNode& right) {
  return left.count == right.count && left.first % (2 * left.count) == 0;
}

std::vector<size_t> slice_bounds(size_t values, int processes) {
  const size_t blocks = kernels::adam_blocks(values), n = size_t(processes);
  std::vector<size_t> bounds;
  for (size_t r = 0; r <= n; r++)
    bounds.push_back(std::min(blocks * r / n * kernels::adam_values_a_block, values));
  return bounds;
}

}  // namespace

Shards deal_shards(int count, int rank, int processes) {
  if (count < 1 || processes < 1 || count % processes)
    throw std::invalid_argument(fmt::format("{} shards cannot be dealt to {} processes", count, processes));
  const int each = count / processes;
  return {count, rank * each, (rank + 1) * each};
}

std::vector<TreeNode> complete_nodes(int first, int last) {
  std::vector<TreeNode> nodes;
  while (first < last) {
    int count = first ? 1 << std::countr_zero(unsigned(first)) : int(std::bit_floor(unsigned(last)));
    while (first + count > last) count /= 2;
    nodes.push_back({first, count});
    first += count;
  }
  return nodes;
}

ShardSum::ShardSum(Device& device, ProcessGroup& group, size_t values, const Shards& shards)
    : device_(device),
      group_(group),
      values_(values),
      shards_(shards),
      bounds_(slice_bounds(values, group.size())),
      next_(shards.first) {}

float* ShardSum::take_buffer() {
  if (free_.empty()) {
    buffers_.emplace_back(device_, values_).zero();  // padding of parameters stays zero
    return buffers_.back().data();
  }
  float* const buffer = free_.back();
  free_.pop_back();
  return buffer;
}

void ShardSum::add(float* gradient) {
  TreeNode node{next_++, 1};
  while (!terms_.empty() && are_siblings(terms_.back().node, node)) {
    const Term left = terms_.back();
    terms_.pop_back();
    // right + left has the bits of left + right.
    kernels::add(device_.stream(), gradient, left.data, values_);
    free_.push_back(left.data);
    node = {left.node.first, 2 * left.node.count};
  }
  float* data = gradient;
  if (next_ < shards_.last) {
    data = take_buffer();
    kernels::swap(device_.stream(), data, gradient, values_);  // a copy: the next shard overwrites the rest
  }
  terms_.push_back({node, data});
}

// Terms of all ranks, of this slice, by shard.
std::vector<ShardSum::Term> ShardSum::exchange() {
  const size_t slice = end() - begin();
  std::vector<Term> all;
  std::vector<ProcessGroup::Transfer> send, receive;
  size_t others = 0;
  for (int r = 0; r < group_.size(); r++) {
    const Shards theirs = deal_shards(shards_.count, r, group_.size());
    if (r != group_.rank()) others += complete_nodes(theirs.first, theirs.last).size();
  }
  if (received_.size() < others * slice) received_ = DeviceArray<float>(device_, others * slice);
  float* place = received_.data();
  for (int r = 0; r < group_.size(); r++) {
    if (r == group_.rank()) {
      for (const Term& term : terms_) all.push_back({term.node, term.data + begin()});
      continue;
    }
    const size_t from = bounds_[size_t(r)], to = bounds_[size_t(r) + 1];
    for (const Term& term : terms_) send.push_back({r, term.data + from, (to - from) * sizeof(float)});
    const Shards theirs = deal_shards(shards_.count, r, group_.size());
    for (const TreeNode& node : complete_nodes(theirs.first, theirs.last)) {
      receive.push_back({r, place, slice * sizeof(float)});
      all.push_back({node, place});
      place += slice;
    }
  }
  group_.exchange(device_.stream(), std::move(send), std::move(receive));
  return all;
}

void ShardSum::finish(float* gradient) {
  const size_t slice = end() - begin();
  std::vector<Term> sums;
  const auto add_last_two = [&] {
    const Term right = sums.back();
    sums.pop_back();
    kernels::add(device_.stream(), sums.back().data, right.data, slice);
    sums.back().node.count += right.node.count;
  };
  for (const Term& term : exchange()) {
    sums.push_back(term);
    while (sums.size() > 1 && are_siblings(sums[sums.size() - 2].node, sums.back().node)) add_last_two();
  }
  while (sums.size() > 1) add_last_two();
  if (sums[0].data != gradient + begin())
    kernels::swap(device_.stream(), gradient + begin(), sums[0].data, slice);
  for (const Term& term : terms_)
    if (term.data != gradient) free_.push_back(term.data);
  terms_.clear(), next_ = shards_.first;
}

}  // namespace warpbert
