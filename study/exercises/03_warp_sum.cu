// Exercise 3: a block of one warp adds the eight numbers of a row, as a block its warps' sums.
#include "simt/simt.h"

static __global__ void sum_of_eight_kernel(float* sums, const float* x) {
  const int row = int(blockIdx.x), lane = int(threadIdx.x);
  if (lane < 8) {
    float sum = x[row * 8 + lane];
    // YOUR CODE: which lanes come to this shuffle?
    for (int i = 4; i > 0; i /= 2) sum += __shfl_xor_sync(0xffffffff, sum, i);
    if (lane == 0) sums[row] = sum;
  }
}
