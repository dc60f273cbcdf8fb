// Shards of one process: the tree, and its bits. Several processes: tests/programs/processes_test.py.
#include "engine/shards.h"

#include <doctest/doctest.h>

#include <bit>
#include <stdexcept>

#include "tests/support/buffer.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

// The sum over leaves [first, first + n), by the tree's definition.
float tree(const std::vector<float>& leaves, int first, int n) {
  if (n == 1) return leaves[size_t(first)];
  int left = int(std::bit_floor(unsigned(n)));
  if (left == n) left /= 2;
  return tree(leaves, first, left) + tree(leaves, first + left, n - left);
}

}  // namespace

TEST_CASE("shards: processes get equal, consecutive parts, or a refusal") {
  for (int rank = 0; rank < 3; rank++) {
    const Shards part = deal_shards(12, rank, 3);
    CHECK(part.first == 4 * rank);
    CHECK(part.last == 4 * rank + 4);
    CHECK(part.local() == 4);
  }
  CHECK_THROWS_WITH_AS(deal_shards(12, 0, 5), "12 shards cannot be dealt to 5 processes",
                       std::invalid_argument);
  CHECK_THROWS_AS(deal_shards(0, 0, 1), std::invalid_argument);
}

TEST_CASE("shards: a process completes aligned nodes of the tree") {
  using Nodes = std::vector<TreeNode>;
  CHECK(complete_nodes(0, 1) == Nodes{{0, 1}});
  CHECK(complete_nodes(0, 8) == Nodes{{0, 8}});
  CHECK(complete_nodes(0, 7) == Nodes{{0, 4}, {4, 2}, {6, 1}});
  CHECK(complete_nodes(3, 6) == Nodes{{3, 1}, {4, 2}});
  CHECK(complete_nodes(1, 8) == Nodes{{1, 1}, {2, 2}, {4, 4}});
  for (int first = 0; first < 20; first++)
    for (int last = first + 1; last < 40; last++) {
      int next = first;
      for (const TreeNode& node : complete_nodes(first, last)) {
        CHECK(node.first == next);
        CHECK(std::has_single_bit(unsigned(node.count)));
        CHECK(node.first % node.count == 0);
        next += node.count;
      }
      CHECK(next == last);
    }
}

TEST_CASE("shards: the sum has the bits of the tree, step after step, for every number of shards") {
  Device device;
  for (int count : {1, 2, 3, 4, 5, 6, 7, 8, 13})
    for (size_t n : {size_t(64), size_t(2048), size_t(5 * 2048 + 64)}) {
      CAPTURE(count);
      CAPTURE(n);
      constexpr size_t first = 3 * 2048;  // of the range in a longer gradient
      ShardSum sum(device, ProcessGroup::world(), deal_shards(count, 0, 1), first, first + n);
      CHECK(sum.begin() == first);
      CHECK(sum.end() == first + n);
      CHECK(sum.workspace() == 0);
      DeviceArray<float> gradient(device, first + n + 64);
      for (unsigned step = 0; step < 2; step++) {
        std::vector<std::vector<float>> shards;
        for (int s = 0; s < count; s++) {
          shards.push_back(normal<float>(gradient.size(), 1, 0, step * 100 + unsigned(s)));
          gradient.upload(shards.back());
          if (s + 1 < count) sum.add(device.stream(), gradient.data(), s);
        }
        sum.finish(device.stream(), gradient.data(), nullptr);
        const std::vector<float> found = gradient.download();
        int wrong = 0;
        for (size_t i = 0; i < found.size(); i++) {
          std::vector<float> leaves;
          for (const auto& shard : shards) leaves.push_back(shard[i]);
          const bool inside = i >= first && i < first + n;  // outside is the last shard's
          wrong += found[i] != (inside ? tree(leaves, 0, count) : leaves.back());
        }
        CHECK(wrong == 0);
      }
    }
}
