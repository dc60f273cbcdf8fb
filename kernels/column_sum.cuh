// What kernels share that sum over rows: how rows and columns are dealt out, and how the warps of a block add up.
//
// A block owns a strip of 256 columns (a lane has eight neighbours) and 32 rows (each of its warps every eighth of
// them). Both depend on nothing but the numbers of row and column, so that partial sums keep their bits when the
// capacity grows: blocks beyond the count then only add zeros.
#pragma once
#include "vector.cuh"

namespace warpbert::kernels {

constexpr int strip_columns = 256, strip_warps = 8, strip_rows = 32, rows_per_warp = strip_rows / strip_warps;

__device__ __forceinline__ int strip_warp() { return int(threadIdx.x) / 32; }
__device__ __forceinline__ int strip_column() { return int(blockIdx.x) * strip_columns + int(threadIdx.x) % 32 * 8; }
__device__ __forceinline__ int strip_begin() { return int(blockIdx.y) * strip_rows; }
__device__ __forceinline__ int strip_row(int k) { return strip_begin() + k * strip_warps + strip_warp(); }

// This lane's part of the warp's rows, zeros beyond the last real one. It reads nothing another lane owns: kernels may
// write over what they read.
template <class T>
__device__ __forceinline__ void load_strip(Raw8<T> (&to)[rows_per_warp], const T* x, int ld, int count) {
#pragma unroll
  for (int k = 0; k < rows_per_warp; k++)
    to[k] = strip_row(k) < count ? load_raw8(x + size_t(strip_row(k)) * ld + strip_column()) : Raw8<T>{};
}

inline dim3 strip_grid(int columns, int row_blocks) {
  return {unsigned((columns + strip_columns - 1) / strip_columns), unsigned(row_blocks)};
}

// Adds up what the eight warps have for each column of the strip, in the order of the warps. The sum of the column of
// this thread (thread t has column t of the strip). All threads of the block must call this.
__device__ __forceinline__ float sum_over_warps(const Float8& mine) {
  auto& sums = shared<float[strip_warps][strip_columns]>();
  store8(&sums[strip_warp()][threadIdx.x % 32 * 8], mine);
  __syncthreads();  // every warp's sums are there
  float sum = 0;
#pragma unroll
  for (int w = 0; w < strip_warps; w++) sum += sums[w][threadIdx.x];
  return sum;
}

}  // namespace warpbert::kernels
