// Squared gradient norm, and the number of different bytes; see docs/kernels/reduce.md.
//
// squared_norm reads 4 bytes per value. Up to 512 blocks stride over x, 2,048 values at a time; one block
// adds their sums.
#include <algorithm>

#include "block_sum.cuh"
#include "launch.h"
#include "vector.cuh"

namespace warpbert::kernels {

constexpr int max_squared_norm_blocks =
    512;  // 4 per SM of 132: 131,072 threads × 32 bytes in flight fill HBM
constexpr int finish_threads = 1024;

static __global__ void __launch_bounds__(flat_threads)
    squared_norm_kernel(double* __restrict__ partials, const float* __restrict__ x, size_t n) {
  double sum = 0;
  for (size_t begin = flat_begin(); begin < n; begin += size_t(gridDim.x) * flat_values) {
    if (begin + flat_values > n) {
      for (size_t i = begin + threadIdx.x; i < n; i += flat_threads) sum += double(x[i]) * x[i];
      break;
    }
    const Float8 v = load_groups(x + begin + threadIdx.x * 4);
#pragma unroll
    for (int j = 0; j < 8; j++) sum += double(v[j]) * v[j];
  }
  if (double total; block_sum<flat_threads>(total, sum)) partials[blockIdx.x] = total;
}

static __global__ void __launch_bounds__(finish_threads)
    sum_kernel(double* __restrict__ out, const double* __restrict__ x, size_t n) {
  double sum = 0;
  for (size_t i = threadIdx.x; i < n; i += 8 * finish_threads) {
    double v[8];  // eight loads in flight: one block hides no other latency
#pragma unroll
    for (int k = 0; k < 8; k++) v[k] = i + k * finish_threads < n ? x[i + k * finish_threads] : 0;
#pragma unroll
    for (int k = 0; k < 8; k++) sum += v[k];
  }
  if (double total; block_sum<finish_threads>(total, sum)) *out = total;
}

void sum(Stream stream, double* out, const double* x, size_t n) {
  if (!out || (!x && n)) refuse("sum", "no out or x, n = ", n);
  launch<sum_kernel>(1, finish_threads, 0, stream, out, x, n);
}

size_t squared_norm_workspace() { return max_squared_norm_blocks; }

void block_squares(Stream stream, double* out, const float* x, size_t n) {
  if (n && (!out || !x)) refuse("block_squares", "no out or x, n = ", n);
  if (n) launch<squared_norm_kernel>(flat_blocks(n), flat_threads, 0, stream, out, x, n);
}

void squared_norm(Stream stream, double* out, double* workspace, const float* x, size_t n) {
  if (!out || !workspace || (!x && n)) refuse("squared_norm", "no out, workspace or x, n = ", n);
  const size_t blocks = std::clamp(size_t(flat_blocks(n)), size_t(1), squared_norm_workspace());
  launch<squared_norm_kernel>(int(blocks), flat_threads, 0, stream, workspace, x, n);
  sum(stream, out, workspace, blocks);
}

// Compares bits: 0 and −0 differ, a NaN equals itself.
static __global__ void __launch_bounds__(256)
    count_differences_kernel(unsigned* __restrict__ count, const unsigned char* __restrict__ a,
                             const unsigned char* __restrict__ b, size_t bytes) {
  const size_t thread = size_t(blockIdx.x) * blockDim.x + threadIdx.x,
               threads = size_t(gridDim.x) * blockDim.x;
  unsigned different = 0;
  for (size_t i = thread; i < bytes / 16; i += threads) {
    const uint4 x = reinterpret_cast<const uint4*>(a)[i], y = reinterpret_cast<const uint4*>(b)[i];
    different += unsigned(x.x != y.x) + unsigned(x.y != y.y) + unsigned(x.z != y.z) + unsigned(x.w != y.w);
  }
  if (thread < bytes % 16) different += a[bytes / 16 * 16 + thread] != b[bytes / 16 * 16 + thread];
  if (different) atomicAdd(count, different);
}

void count_differences(Stream stream, unsigned* count, const void* a, const void* b, size_t bytes) {
  if (!count || ((!a || !b) && bytes)) refuse("count_differences", "no count, a or b, ", bytes, " bytes");
  const int blocks = int(std::min(bytes / (16 * 256) + 1, size_t(512)));
  launch<count_differences_kernel>(blocks, 256, 0, stream, count, static_cast<const unsigned char*>(a),
                                   static_cast<const unsigned char*>(b), bytes);
}

}  // namespace warpbert::kernels
