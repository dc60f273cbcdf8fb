// Counts the bytes that kernels load and store, by study/access_hooks.h. Not thread-safe: use one simulator
// worker.
#pragma once
#include <cstddef>
#include <vector>

namespace warpbert::test {

struct Range {
  const void* begin;
  size_t bytes;
};

struct Traffic {
  size_t loaded = 0;    // distinct bytes read before they were written
  size_t stored = 0;    // distinct bytes written
  size_t accessed = 0;  // bytes of all accesses, repeats included: the L1 traffic
  size_t moved() const { return loaded + stored; }
};

// Counts accesses to these disjoint ranges until stop_counting(); ignores shared memory and stack.
void start_counting(const std::vector<Range>& ranges);
Traffic stop_counting();

}  // namespace warpbert::test
