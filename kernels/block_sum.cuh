// The sum over a block, in double: a tree, the same every time.
#pragma once
#include "simt/simt.h"

namespace warpbert::kernels {

// In thread 0; other threads get nothing useful. Every thread of the block has to take part, once a kernel.
template <int threads>
__device__ __forceinline__ double block_sum(double x) {
#pragma unroll
  for (int i = 16; i > 0; i /= 2) x += __shfl_xor_sync(0xffffffff, x, i);
  auto& warps = shared<double[threads / 32]>();
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
  __syncthreads();  // every warp's sum is there before thread 0 adds them
  double sum = 0;
  if (threadIdx.x == 0)
    for (int w = 0; w < threads / 32; w++) sum += warps[w];
  return sum;
}

}  // namespace warpbert::kernels
