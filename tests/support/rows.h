// Helpers for kernels that process the first *count rows of a larger buffer.
#pragma once
#include <algorithm>
#include <limits>

#include "buffer.h"
#include "kernels/kernels.h"

namespace warpbert::test {

// Appends NaNs up to n elements: padding rows that must not be read.
template <class T>
std::vector<T> poisoned(std::vector<T> values, size_t n) {
  values.resize(n, from_float<T>(std::numeric_limits<float>::quiet_NaN()));
  return values;
}

template <class T>
kernels::View view(Buffer<T>& buffer, kernels::Rows rows, int cols) {
  return kernels::view(buffer.data(), rows, cols);
}

// Number of nonzero elements in buffer[begin … end).
template <class T>
int nonzero(Buffer<T>& buffer, size_t begin, size_t end) {
  int n = 0;
  for (size_t i = begin; i < end; i++) n += !(to_float(buffer[i]) == 0);
  return n;
}

// The first n elements as bit patterns, for exact comparison.
template <class T>
std::vector<uint32_t> bits(Buffer<T>& buffer, size_t n) {
  std::vector<uint32_t> out(n);
  for (size_t i = 0; i < n; i++) std::memcpy(&out[i], &buffer[i], sizeof(T));
  return out;
}

// Sums partials [blocks, sums, columns] over the blocks with the engine's kernel.
inline std::vector<std::vector<float>> finished(Buffer<float>& partials, int blocks, int sums, int columns) {
  std::vector<std::vector<float>> out;
  for (int s = 0; s < sums; s++) {
    Buffer<float> sum(columns);
    const kernels::Reduction job{sum,    kernels::Grad::overwrite, partials.data() + size_t(s) * columns,
                                 blocks, sums * columns,           columns};
    kernels::reduce_partials(nullptr, &job, 1);
    synchronize();
    out.push_back(sum.vector());
  }
  return out;
}

}  // namespace warpbert::test
