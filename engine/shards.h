// Gradients of `count` shards are added in one fixed tree (docs/scale.md). The left subtree of n leaves has
// the largest power of two below n.
#pragma once
#include <vector>

#include "device.h"
#include "process_group.h"

namespace warpbert {

// Shards [first, last) of `count`, computed by one process.
struct Shards {
  int count = 1, first = 0, last = 1;
  int local() const { return last - first; }
};

// Throws std::invalid_argument unless the processes divide the shards.
Shards deal_shards(int count, int rank, int processes);

// Tree nodes that shards [first, last) complete: aligned powers of two, from left to right.
struct TreeNode {
  int first, count;
  bool operator==(const TreeNode&) const = default;
};
std::vector<TreeNode> complete_nodes(int first, int last);

// Sums a range of the gradient over all shards; rank r gets its slice. Capturable.
class ShardSum {
 public:
  // Values [first, last) of the gradient.
  ShardSum(Device& device, ProcessGroup& group, const Shards& shards, size_t first, size_t last);

  // Takes local shard 0, 1, … in turn, except the last; `gradient` is scratch afterwards.
  void add(kernels::Stream stream, float* gradient, int shard) const;
  // Takes the last one's. This process's slice of `gradient` becomes the sum over all shards. workspace:
  // workspace() floats.
  void finish(kernels::Stream stream, float* gradient, float* workspace) const;
  size_t workspace() const;

  // Rank r has slice [bounds()[r], bounds()[r + 1]). Bounds between slices are multiples of 2,048.
  const std::vector<size_t>& bounds() const { return bounds_; }
  size_t begin() const { return bounds_[size_t(group_.rank())]; }
  size_t end() const { return bounds_[size_t(group_.rank()) + 1]; }

 private:
  struct Term {
    TreeNode node;
    float* data;  // of this slice
  };
  size_t values() const { return bounds_.back() - bounds_.front(); }
  void complete(kernels::Stream stream, float* gradient, int shard) const;
  std::vector<Term> exchange(kernels::Stream stream, float* gradient, float* workspace) const;
  std::vector<TreeNode> nodes_of(int rank) const;

  ProcessGroup& group_;
  Shards shards_;
  std::vector<size_t> bounds_;
  // Complete nodes of the tree from left to right.
  std::vector<DeviceArray<float>> nodes_;
};

}  // namespace warpbert
