// Arrays that host and device share, for tests: managed memory on a GPU, the heap in the simulator, each array an
// allocation of its own, so that AddressSanitizer sees every overrun. Fresh memory is poisoned with NaNs.
#pragma once
#include <cmath>
#include <cstdlib>
#include <cstring>
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
  if (cudaError_t e = cudaDeviceSynchronize(); e != cudaSuccess) throw std::runtime_error(cudaGetErrorString(e));
#endif
}

template <class T>
class Buffer {
 public:
  explicit Buffer(size_t n) : size_(n) {
#ifdef WARPBERT_CUDA
    if (cudaMallocManaged(reinterpret_cast<void**>(&data_), n * sizeof(T) + 1) != cudaSuccess) throw std::bad_alloc();
#else
    data_ = static_cast<T*>(std::malloc(n * sizeof(T)));  // exactly as many bytes: one more read is an error
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

// Normally distributed values, rounded to T.
template <class T>
std::vector<T> normal(size_t n, float scale = 1, float mean = 0, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution(mean, scale);
  std::vector<T> values(n);
  for (T& v : values) v = from_float<T>(distribution(generator));
  return values;
}

// The largest |a − b| / (|b| + scale); not-a-number anywhere counts as infinite.
struct Worst {
  double value = 0;
  void add(double actual, double expected, double scale = 1) {
    const double e = std::abs(actual - expected) / (std::abs(expected) + scale);
    value = e <= value ? value : std::isnan(e) ? INFINITY : e;
  }
};

// Tolerances by storage type. float: some 100 rounding steps of 2⁻²⁴; bf16: one rounding of the result (2⁻⁸ relative),
// and room for one intermediate that is rounded as well.
template <class T>
constexpr double tolerance = sizeof(T) == 2 ? 8e-3 : 1e-5;

}  // namespace warpbert::test
