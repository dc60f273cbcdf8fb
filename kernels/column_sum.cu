// Two-stage sums over rows; see docs/kernels/column_sum.md.
//
// column_sums reads 2 bytes per element in bf16 and writes 1/16 of that; a block sums 32 rows of x: [N, C].
// finish_column_sums batches several sums, as each is shorter than a launch. A block owns 32 adjacent
// columns, a 128-byte line; its eight warps take every eighth partial sum, so eight loads per column are in
// flight.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "column_sum.cuh"
#include "kernels.h"

namespace warpbert::kernels {
namespace {

template <class T>
__global__ void __launch_bounds__(32 * strip_warps)
    column_sums_kernel(float* __restrict__ partials, const T* __restrict__ x, int ld, Rows rows,
                       int columns) {
  const int count = *rows.count;
  Float8 sum = {};
  if (strip_column() < columns && strip_begin() < count) {
    Raw8<T> raw[rows_per_warp];
    load_strip(raw, x, ld, count);
#pragma unroll
    for (int k = 0; k < rows_per_warp; k++) sum += unpack8(raw[k]);
  }
  const float total = sum_over_warps(sum);
  if (const int c = int(blockIdx.x) * strip_columns + int(threadIdx.x); c < columns)
    partials[size_t(blockIdx.y) * columns + c] = total;
}

struct ColumnSums {
  ColumnSum sum[max_column_sums];
};

constexpr int finish_columns = 32, finish_warps = 8;

__global__ void __launch_bounds__(finish_columns* finish_warps) finish_column_sums_kernel(ColumnSums all) {
  const ColumnSum& s = all.sum[blockIdx.y];
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const int column = int(blockIdx.x) * finish_columns + lane;
  float sum = 0;
  if (column < s.columns)
    for (int b = warp; b < s.blocks; b += finish_warps) sum += s.partials[size_t(b) * s.stride + column];
  auto& sums = shared<float[finish_warps][finish_columns]>();
  sums[warp][lane] = sum;
  __syncthreads();  // sums are stored
  if (warp || column >= s.columns) return;
#pragma unroll
  for (int w = 1; w < finish_warps; w++) sum += sums[w][lane];
  s.out[column] = s.accumulate ? s.out[column] + sum : sum;
}

}  // namespace

int column_blocks(int capacity) { return (capacity + strip_rows - 1) / strip_rows; }

template <class T>
void column_sums(Stream stream, float* partials, const T* x, int ld, Rows rows, int columns) {
  if (columns <= 0 || columns % 8 || ld < columns || ld % 8 || rows.capacity < 0)
    throw std::invalid_argument("column_sums: [" + std::to_string(rows.capacity) + ", " +
                                std::to_string(columns) + "] with leading dimension " + std::to_string(ld) +
                                ": multiples of 8 are needed");
  if (rows.capacity == 0) return;
  launch<column_sums_kernel<T>>(strip_grid(columns, column_blocks(rows.capacity)), 32 * strip_warps, 0,
                                stream, partials, x, ld, rows, columns);
}

void finish_column_sums(Stream stream, const ColumnSum* sums, int n) {
  if (n < 0 || n > max_column_sums)
    throw std::invalid_argument("finish_column_sums: " + std::to_string(n) + " sums, room for " +
                                std::to_string(max_column_sums));
  ColumnSums all = {};
  int columns = 0;
  for (int i = 0; i < n; i++) {
    const ColumnSum& s = all.sum[i] = sums[i];
    if (s.blocks < 0 || s.columns <= 0 || s.stride < s.columns)
      throw std::invalid_argument("finish_column_sums: sum " + std::to_string(i) + " has [" +
                                  std::to_string(s.blocks) + ", " + std::to_string(s.columns) +
                                  "] with stride " + std::to_string(s.stride));
    columns = std::max(columns, s.columns);
  }
  if (n == 0) return;
  const dim3 grid(unsigned((columns + finish_columns - 1) / finish_columns), unsigned(n));
  launch<finish_column_sums_kernel>(grid, finish_columns * finish_warps, 0, stream, all);
}

template decltype(column_sums<float>) column_sums<float>;
template decltype(column_sums<bf16>) column_sums<bf16>;

}  // namespace warpbert::kernels
