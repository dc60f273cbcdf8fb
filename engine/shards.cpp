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

std::vector<size_t> slice_bounds(size_t first, size_t last, int processes) {
  constexpr size_t unit = kernels::adam_values_a_block;
  const size_t begin = first / unit, blocks = kernels::adam_blocks(last) - begin, n = size_t(processes);
  std::vector<size_t> bounds;
  for (size_t r = 0; r <= n; r++) bounds.push_back(std::clamp((begin + blocks * r / n) * unit, first, last));
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

ShardSum::ShardSum(Device& device, ProcessGroup& group, const Shards& shards, size_t first, size_t last)
    : group_(group), shards_(shards), bounds_(slice_bounds(first, last, group.size())) {
  size_t most = 0;
  for (int shard = shards.first + 1; shard < shards.last; shard++)
    most = std::max(most, complete_nodes(shards.first, shard).size());
  for (size_t i = 0; i < most; i++) nodes_.emplace_back(device, last - first).zero();  // padding stays zero
}

// Adds the nodes that this shard completes.
void ShardSum::complete(kernels::Stream stream, float* gradient, int shard) const {
  const int next = shards_.first + shard + 1;
  const size_t before = complete_nodes(shards_.first, next - 1).size(),
               after = complete_nodes(shards_.first, next).size();
  // right + left has the bits of left + right.
  for (size_t i = before; i >= after; i--)
    kernels::add(stream, gradient + bounds_.front(), nodes_[i - 1].data(), values());
}

void ShardSum::add(kernels::Stream stream, float* gradient, int shard) const {
  complete(stream, gradient, shard);
  const size_t node = complete_nodes(shards_.first, shards_.first + shard + 1).size() - 1;
  // A copy: the next shard overwrites the rest.
  kernels::swap(stream, nodes_[node].data(), gradient + bounds_.front(), values());
}

std::vector<TreeNode> ShardSum::nodes_of(int rank) const {
  const Shards shards = deal_shards(shards_.count, rank, group_.size());
  return complete_nodes(shards.first, shards.last);
}

size_t ShardSum::workspace() const {
  size_t others = 0;
  for (int r = 0; r < group_.size(); r++)
    if (r != group_.rank()) others += nodes_of(r).size();
  return others * (end() - begin());
}

// This slice's terms of all ranks, by shard.
std::vector<ShardSum::Term> ShardSum::exchange(kernels::Stream stream, float* gradient,
                                               float* workspace) const {
  const size_t slice = end() - begin();
  const std::vector<TreeNode> ours = nodes_of(group_.rank());
  const auto term = [&](size_t i, size_t offset) {  // our last one is in the gradient itself
    return i + 1 < ours.size() ? nodes_[i].data() + (offset - bounds_.front()) : gradient + offset;
  };
  std::vector<Term> all;
  std::vector<ProcessGroup::Transfer> send, receive;
  for (int r = 0; r < group_.size(); r++) {
    if (r == group_.rank()) {
      for (size_t i = 0; i < ours.size(); i++) all.push_back({ours[i], term(i, begin())});
      continue;
    }
    const size_t from = bounds_[size_t(r)], bytes = (bounds_[size_t(r) + 1] - from) * sizeof(float);
    for (size_t i = 0; bytes && i < ours.size(); i++) send.push_back({r, term(i, from), bytes});
    for (const TreeNode& node : nodes_of(r)) {
      if (slice) receive.push_back({r, workspace, slice * sizeof(float)});
      all.push_back({node, workspace});
      workspace += slice;
    }
  }
  group_.exchange(stream, std::move(send), std::move(receive));
  return all;
}

void ShardSum::finish(kernels::Stream stream, float* gradient, float* workspace) const {
  const size_t slice = end() - begin();
  std::vector<Term> sums;
  const auto add_last_two = [&] {
    const Term right = sums.back();
    sums.pop_back();
    kernels::add(stream, sums.back().data, right.data, slice);
    sums.back().node.count += right.node.count;
  };
  complete(stream, gradient, shards_.local() - 1);
  for (const Term& term : exchange(stream, gradient, workspace)) {
    sums.push_back(term);
    while (sums.size() > 1 && are_siblings(sums[sums.size() - 2].node, sums.back().node)) add_last_two();
  }
  while (sums.size() > 1) add_last_two();
  if (sums[0].data != gradient + begin()) kernels::swap(stream, gradient + begin(), sums[0].data, slice);
}

}  // namespace warpbert
