#pragma once
#include "simt/simt.h"

namespace warpbert::kernels {

// sums[k] = Σ x[k] over the block's threads, in a fixed order, in the one thread that gets true; it is of the
// last warp. All threads must call it, once per kernel.
template <int threads, int N, class T>
__device__ __forceinline__ bool block_sums(double (&sums)[N], const T (&x)[N]) {
  auto& all = shared<T[N][threads]>();
#pragma unroll
  for (int k = 0; k < N; k++) all[k][threadIdx.x] = x[k];
  if (!sync_into_last_warp()) return false;  // values are stored
  const int lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int k = 0; k < N; k++) {
    double sum = 0;
#pragma unroll 8
    for (int i = 0; i < threads / 32; i++) sum += all[k][i * 32 + lane];
    sums[k] = warp_sum(sum);
  }
  return lane == 0;
}

template <int threads, class T>
__device__ __forceinline__ bool block_sum(double& sum, T x) {
  double sums[1];
  const T values[1] = {x};
  const bool mine = block_sums<threads>(sums, values);
  sum = sums[0];
  return mine;
}

}  // namespace warpbert::kernels
