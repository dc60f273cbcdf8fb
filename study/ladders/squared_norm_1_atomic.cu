// Rung 1: a thread takes one value and adds its square to `out`. Correct, but all threads of the GPU wait for
// one cell, and the sum's last bits depend on their order.
#include "atomic_add.cuh"
#include "squared_norm.h"

namespace warpbert::ladders {

static __global__ void zero_kernel(double* out) { *out = 0; }

static __global__ void squared_norm_atomic_kernel(double* out, const float* x, size_t n) {
  const size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const double value = x[i];
  atomicAdd(out, value * value);
}

void squared_norm_atomic(kernels::Stream stream, double* out, double*, const float* x, size_t n) {
  launch<zero_kernel>(1, 1, 0, stream, out);
  if (n) launch<squared_norm_atomic_kernel>(unsigned((n + 255) / 256), 256, 0, stream, out, x, n);
}

}  // namespace warpbert::ladders
