// Rung 3: no atomics. At most 512 blocks stride over x and store a sum each; a second launch adds these. One
// order, so one result; and a tree for 2,048 values or more, not for 256. A thread still loads 4 bytes at a
// time, and a tree still takes eight barriers.
#include <algorithm>

#include "simt/simt.h"
#include "squared_norm.h"

namespace warpbert::ladders {

static __global__ void squared_norm_partials_kernel(double* partials, const float* x, size_t n) {
  auto& sums = shared<double[256]>();
  double sum = 0;
  for (size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += size_t(gridDim.x) * blockDim.x) {
    const double value = x[i];
    sum += value * value;
  }
  sums[threadIdx.x] = sum;
  for (unsigned half = 128; half > 0; half /= 2) {
    __syncthreads();  // sums of the last turn are stored
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  if (threadIdx.x == 0) partials[blockIdx.x] = sums[0];
}

void squared_norm_two_launches(kernels::Stream stream, double* out, double* workspace, const float* x,
                               size_t n) {
  const size_t blocks = std::clamp((n + 2047) / 2048, size_t(1), kernels::squared_norm_workspace());
  launch<squared_norm_partials_kernel>(unsigned(blocks), 256, 0, stream, workspace, x, n);
  kernels::sum(stream, out, workspace, blocks);
}

}  // namespace warpbert::ladders
