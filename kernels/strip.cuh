// A block owns 256 columns (eight per lane) and 32 rows (every eighth per warp) at any capacity: more blocks
// only add zeros, so partial sums keep their bits.
#pragma once
#include "kernels.h"
#include "vector.cuh"

namespace warpbert::kernels {

constexpr int strip_columns = 256, strip_warps = 8, strip_rows = 32, rows_per_warp = strip_rows / strip_warps;

__device__ __forceinline__ int strip_warp() { return int(threadIdx.x) / 32; }
__device__ __forceinline__ int strip_column() {
  return int(blockIdx.x) * strip_columns + int(threadIdx.x) % 32 * 8;
}
__device__ __forceinline__ int strip_begin() { return int(blockIdx.y) * strip_rows; }
__device__ __forceinline__ int strip_row(int k) { return strip_begin() + k * strip_warps + strip_warp(); }

// Loads this lane's columns of the warp's rows, zeros past *count. A lane reads only what it owns: in-place
// use is safe.
template <class T>
__device__ __forceinline__ void load_strip(Raw8<T> (&to)[rows_per_warp], const T* x, int ld, int count) {
#pragma unroll
  for (int k = 0; k < rows_per_warp; k++)
    to[k] = strip_row(k) < count ? load_raw8(x + size_t(strip_row(k)) * ld + strip_column()) : Raw8<T>{};
}

inline dim3 strip_grid(int columns, int row_blocks) {
  return {unsigned((columns + strip_columns - 1) / strip_columns), unsigned(row_blocks)};
}
inline dim3 strip_grid(const View& x) { return strip_grid(x.cols, partial_blocks(x.rows.capacity)); }

// Place of column c in a warp's sums. Lanes 4 to 7 swap 16-byte halves, to avoid the banks of lanes 0 to 3.
__device__ __forceinline__ int swizzle(int c) { return c ^ (c >> 3 & 4); }

// Adds the warps in order; thread t returns column t. All threads must call it.
__device__ __forceinline__ float sum_over_warps(const Float8& mine) {
  auto& sums = shared<float[strip_warps * strip_columns]>();
  const float4 low = make_float4(mine[0], mine[1], mine[2], mine[3]),
               high = make_float4(mine[4], mine[5], mine[6], mine[7]);
  const int place = swizzle(int(threadIdx.x) * 8);
  *reinterpret_cast<float4*>(&sums[place]) = low;
  *reinterpret_cast<float4*>(&sums[place ^ 4]) = high;
  __syncthreads();  // sums are stored
  float sum = 0;
#pragma unroll
  for (int w = 0; w < strip_warps; w++) sum += sums[w * strip_columns + swizzle(int(threadIdx.x))];
  return sum;
}

}  // namespace warpbert::kernels
