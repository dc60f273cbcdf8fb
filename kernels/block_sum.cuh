#pragma once
#include "simt/simt.h"

namespace warpbert::kernels {

// Sums each x[k] into thread 0, in a fixed order. All threads must call it, once per kernel.
template <int threads, int N>
__device__ __forceinline__ void block_sums(double (&x)[N]) {
  auto& warps = shared<double[threads / 32][N]>();
#pragma unroll
  for (int k = 0; k < N; k++) {
    x[k] = warp_sum(x[k]);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32][k] = x[k];
  }
  __syncthreads();  // sums are stored
  if (threadIdx.x != 0) return;
#pragma unroll
  for (int k = 0; k < N; k++) {
    x[k] = 0;
    for (int w = 0; w < threads / 32; w++) x[k] += warps[w][k];
  }
}

template <int threads>
__device__ __forceinline__ double block_sum(double x) {
  double sums[1] = {x};
  block_sums<threads>(sums);
  return sums[0];
}

}  // namespace warpbert::kernels
