// Test arrays shared by host and device: managed memory on a GPU, the heap in the simulator. Each array is a
// separate allocation, so AddressSanitizer detects overruns. New memory is filled with NaNs.
#pragma once
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ostream>
#include <random>
#include <stdexcept>
#include <vector>

#include "simt/bf16.h"

#ifdef WARPBERT_CUDA
#include <cuda_runtime.h>
#endif

namespace warpbert::test {

inline void synchronize() {
#ifdef WARPBERT_CUDA
  if (cudaError_t e = cudaDeviceSynchronize(); e != cudaSuccess)
    throw std::runtime_error(cudaGetErrorString(e));
#endif
}

template <class T>
class Buffer {
 public:
  explicit Buffer(size_t n) : size_(n) {
#ifdef WARPBERT_CUDA
    if (cudaMallocManaged(reinterpret_cast<void**>(&data_), n * sizeof(T) + 1) != cudaSuccess)
      throw std::bad_alloc();
#else
    data_ = static_cast<T*>(std::malloc(n * sizeof(T)));  // exact size: reading past it is an error
#endif
    std::memset(static_cast<void*>(data_), 0xff, n * sizeof(T));
  }
  Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    if (size_) std::memcpy(static_cast<void*>(data_), values.data(), size_ * sizeof(T));
  }
  Buffer(const Buffer&) = delete;
  ~Buffer() {
#ifdef WARPBERT_CUDA
    cudaFree(data_);
#else
    std::free(data_);
#endif
  }
  T* data() { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  operator T*() { return data_; }
  std::vector<T> vector() const { return {data_, data_ + size_}; }

 private:
  T* data_;
  size_t size_;
};

template <class T>
std::vector<T> normal(size_t n, float scale = 1, float mean = 0, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution(mean, scale);
  std::vector<T> values(n);
  for (T& v : values) v = from_float<T>(distribution(generator));
  return values;
}

// An error and where it was. doctest prints "0.98 (value 251: expected 0.1135, got -0.1026)".
struct Deviation {
  double error = 0, expected = 0, actual = 0;
  size_t index = 0;  // counts the values that were compared
  operator double() const { return error; }
  friend std::ostream& operator<<(std::ostream& out, const Deviation& d) {
    out << d.error;
    return d.error
               ? out << " (value " << d.index << ": expected " << d.expected << ", got " << d.actual << ")"
               : out;
  }
};

// Tracks the largest |a − b| / (|b| + scale); NaN counts as infinite.
struct Worst {
  Deviation value;
  size_t compared = 0;
  void add(double actual, double expected, double scale = 1) {
    const double e = std::abs(actual - expected) / (std::abs(expected) + scale);
    if (!(e <= value.error)) value = {std::isnan(e) ? INFINITY : e, expected, actual, compared};
    compared++;
  }
};

// Relative tolerance by storage type. float: about 100 roundings of 2⁻²⁴. bf16: one rounding of the result
// (2⁻⁸) and one of an intermediate.
template <class T>
constexpr double tolerance = sizeof(T) == 2 ? 8e-3 : 1e-5;

}  // namespace warpbert::test
