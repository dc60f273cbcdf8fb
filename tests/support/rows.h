// Helpers for kernels that work on the first *count rows of a larger buffer.
#pragma once
#include <algorithm>
#include <limits>

#include "buffer.h"
#include "kernels/kernels.h"

namespace warpbert::test {

// The values, and not-a-numbers behind them up to n: filler rows that must not be read.
template <class T>
std::vector<T> poisoned(std::vector<T> values, size_t n) {
  values.resize(n, from_float<T>(std::numeric_limits<float>::quiet_NaN()));
  return values;
}

// How many of buffer[begin … end) are not zero.
template <class T>
int nonzero(Buffer<T>& buffer, size_t begin, size_t end) {
  int n = 0;
  for (size_t i = begin; i < end; i++) n += !(to_float(buffer[i]) == 0);
  return n;
}

// The first n of a buffer as bit patterns, to be compared exactly.
template <class T>
std::vector<uint32_t> bits(Buffer<T>& buffer, size_t n) {
  std::vector<uint32_t> out(n);
  for (size_t i = 0; i < n; i++) std::memcpy(&out[i], &buffer[i], sizeof(T));
  return out;
}

// The sum of partials [blocks, sums, columns] over the blocks, by the kernel that the engine uses.
inline std::vector<std::vector<float>> finished(Buffer<float>& partials, int blocks, int sums, int columns) {
  std::vector<std::vector<float>> out;
  for (int s = 0; s < sums; s++) {
    Buffer<float> sum(columns);
    const kernels::ColumnSum job{sum, partials.data() + size_t(s) * columns, blocks, sums * columns, columns, false};
    kernels::finish_column_sums(nullptr, &job, 1);
    synchronize();
    out.push_back(sum.vector());
  }
  return out;
}

}  // namespace warpbert::test
