// Shards of a step. The batch is dealt over `count` shards, whose gradients are added in one fixed tree. The
// bits of a training depend on the number of shards, not on the number of processes that compute them.
//
// The tree over n leaves: two subtrees, the left one over the largest power of two below n.
#pragma once
#include <vector>

#include "device.h"
#include "process_group.h"

namespace warpbert {

// Consecutive shards [first, last) of `count`, which one process computes.
struct Shards {
  int count = 1, first = 0, last = 1;
  int local() const { return last - first; }
};

// Shards of a rank. Throws std::invalid_argument unless the processes divide the shards.
Shards deal_shards(int count, int rank, int processes);

// The nodes of the tree that shards [first, last) complete: aligned powers of two, from left to right.
struct TreeNode {
  int first, count;
  bool operator==(const TreeNode&) const = default;
};
std::vector<TreeNode> complete_nodes(int first, int last);

// Adds gradients of `values` floats over all shards. Rank r gets the sums of its slice.
class ShardSum {
 public:
  ShardSum(Device& device, ProcessGroup& group, size_t values, const Shards& shards);

  // Takes the gradient of the next local shard; `gradient` then holds anything.
  void add(float* gradient);
  // After the last: this process's slice of `gradient`, the same array, is the sum over all shards.
  void finish(float* gradient);

  // [bounds()[r], bounds()[r + 1]) is the slice of rank r; multiples of 2,048, except the last.
  const std::vector<size_t>& bounds() const { return bounds_; }
  size_t begin() const { return bounds_[size_t(group_.rank())]; }
  size_t end() const { return bounds_[size_t(group_.rank()) + 1]; }

 private:
  struct Term {
    TreeNode node;
    float* data;
  };
  float* take_buffer();
  std::vector<Term> exchange();

  Device& device_;
  ProcessGroup& group_;
  size_t values_;
  Shards shards_;
  std::vector<size_t> bounds_;
  int next_;                 // shard
  std::vector<Term> terms_;  // of the shards so far
  std::vector<DeviceArray<float>> buffers_;
  std::vector<float*> free_;
  DeviceArray<float> received_;  // [nodes of other ranks, this slice]
};

}  // namespace warpbert
