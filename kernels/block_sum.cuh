// Block-wide sum in double, in a fixed order.
#pragma once
#include "simt/simt.h"

namespace warpbert::kernels {

// Returns the sum in thread 0 only. All threads must call it, once per kernel.
template <int threads>
__device__ __forceinline__ double block_sum(double x) {
#pragma unroll
  for (int i = 16; i > 0; i /= 2) x += __shfl_xor_sync(0xffffffff, x, i);
  auto& warps = shared<double[threads / 32]>();
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
  __syncthreads();  // sums are stored
  double sum = 0;
  if (threadIdx.x == 0)
    for (int w = 0; w < threads / 32; w++) sum += warps[w];
  return sum;
}

}  // namespace warpbert::kernels
