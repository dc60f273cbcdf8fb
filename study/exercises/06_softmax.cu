// Exercise 6: log Σ exp of a row in one walk, a warp a row. A lane keeps the maximum m of its
// columns and Σ exp(x − m); two such pairs are merged into one.
#include "simt/simt.h"

struct MaxSum {
  float max, sum;
};

static __device__ MaxSum merge(MaxSum a, MaxSum b) {
  const float m = a.max > b.max ? a.max : b.max;
  return {m, a.sum * fast_exp(a.max - m) + b.sum * fast_exp(b.max - m)};
}

static __global__ void log_sum_exp_kernel(float* lse, const float* x, int columns) {
  const int row = int(blockIdx.x), lane = int(threadIdx.x);
  MaxSum mine = {-INFINITY, 0};  // YOUR CODE: what does `merge` make of two lanes without a column?
  for (int c = lane; c < columns; c += 32) mine = merge(mine, {x[row * columns + c], 1});
  for (int i = 1; i < 32; i *= 2) {
    const float max = __shfl_xor_sync(0xffffffff, mine.max, i);
    const float sum = __shfl_xor_sync(0xffffffff, mine.sum, i);
    mine = merge(mine, {max, sum});
  }
  if (lane == 0) lse[row] = mine.max + logf(mine.sum);
}
