// Rung 2: the 256 threads of a block add their squares in shared memory, by halves, and one thread adds the
// result to `out`: one atomic a block. The order of blocks still decides the last bits.
#include "atomic_add.cuh"
#include "squared_norm.h"

namespace warpbert::ladders {

static __global__ void zero_kernel(double* out) { *out = 0; }

static __global__ void squared_norm_tree_kernel(double* out, const float* x, size_t n) {
  auto& sums = shared<double[256]>();
  const size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const double value = i < n ? x[i] : 0;
  sums[threadIdx.x] = value * value;
  for (unsigned half = 128; half > 0; half /= 2) {
    __syncthreads();  // sums of the last turn are stored
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  if (threadIdx.x == 0) atomicAdd(out, sums[0]);
}

void squared_norm_tree(kernels::Stream stream, double* out, double*, const float* x, size_t n) {
  launch<zero_kernel>(1, 1, 0, stream, out);
  if (n) launch<squared_norm_tree_kernel>(unsigned((n + 255) / 256), 256, 0, stream, out, x, n);
}

}  // namespace warpbert::ladders
