// Two-stage sums over rows; see docs/kernels/partial_sums.md.
//
// partial_sums reads 2 bytes per element in bf16; a block sums 32 rows. In reduce_partials a block owns 32
// adjacent columns, a 128-byte line; its eight warps take every eighth partial sum.
#include <algorithm>

#include "launch.h"
#include "strip.cuh"

namespace warpbert::kernels {
namespace {

template <class T>
__global__ void __launch_bounds__(32 * strip_warps)
    partial_sums_kernel(float* __restrict__ partials, const T* __restrict__ x, int ld, Rows rows,
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

struct Reductions {
  Reduction all[max_reductions];
};

constexpr int reduce_columns = 32, reduce_warps = 8;

__global__ void __launch_bounds__(reduce_columns* reduce_warps)
    reduce_partials_kernel(Reductions reductions) {
  const Reduction& s = reductions.all[blockIdx.y];
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const int column = int(blockIdx.x) * reduce_columns + lane;
  if (column - lane >= s.columns) return;  // the whole block: other sums have more columns
  float sum = 0;
  if (column < s.columns)
    for (int b = warp; b < s.blocks; b += reduce_warps) sum += s.partials[size_t(b) * s.stride + column];
  auto& sums = shared<float[reduce_warps][reduce_columns]>();
  sums[warp][lane] = sum;
  __syncthreads();  // sums are stored
  if (warp || column >= s.columns) return;
#pragma unroll
  for (int w = 1; w < reduce_warps; w++) sum += sums[w][lane];
  s.out[column] = s.mode == Grad::accumulate ? s.out[column] + sum : sum;
}

}  // namespace

int partial_blocks(int capacity) { return (capacity + strip_rows - 1) / strip_rows; }

void partial_sums(Stream stream, float* partials, View x) {
  check_view("partial_sums", x);
  if (x.rows.capacity == 0) return;
  with_dtype(x.dtype, [&]<class T>() {
    launch<partial_sums_kernel<T>>(strip_grid(x), 32 * strip_warps, 0, stream, partials, x.as<T>(), x.ld,
                                   x.rows, x.cols);
  });
}

void reduce_partials(Stream stream, const Reduction* reductions, int n) {
  if (n < 0 || n > max_reductions) refuse("reduce_partials", n, " sums, room for ", max_reductions);
  Reductions all = {};
  int columns = 0;
  for (int i = 0; i < n; i++) {
    const Reduction& r = all.all[i] = reductions[i];
    if (r.blocks < 0 || r.columns <= 0 || r.stride < r.columns)
      refuse("reduce_partials", "sum ", i, " has [", r.blocks, ", ", r.columns, "] with stride ", r.stride);
    columns = std::max(columns, r.columns);
  }
  if (n == 0) return;
  const dim3 grid(unsigned((columns + reduce_columns - 1) / reduce_columns), unsigned(n));
  launch<reduce_partials_kernel>(grid, reduce_columns * reduce_warps, 0, stream, all);
}

}  // namespace warpbert::kernels
