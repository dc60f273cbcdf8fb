// Loads and stores of kernels, counted. The kernels are compiled with -fsanitize=thread and linked without its runtime:
// the compiler then calls __tsan_read4(address) and its like before each access, and these are ours
// (counted_access.cpp). One worker, please: nothing here is locked.
#pragma once
#include <cstddef>
#include <vector>

namespace warpbert::test {

struct Range {
  const void* begin;
  size_t bytes;
};

struct Traffic {
  size_t loaded = 0;    // different bytes that were read before they were written
  size_t stored = 0;    // different bytes that were written
  size_t accessed = 0;  // bytes of all accesses, however often: what the first-level cache sees
  size_t moved() const { return loaded + stored; }
};

// Counts accesses to these ranges, which do not overlap, until stop_counting(). Others are shared memory or stack.
void start_counting(const std::vector<Range>& ranges);
Traffic stop_counting();

}  // namespace warpbert::test
