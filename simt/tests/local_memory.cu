// Two kernels for which scripts/check_ptxas must fail, and one that must pass.
#include "simt/simt.h"

static __global__ void clean_kernel(float* y, const float* x) { y[threadIdx.x] = 2 * x[threadIdx.x]; }

// An array indexed by run-time values cannot be in registers.
static __global__ void indexed_array_kernel(float* y, const float* x, const int* bins, int n) {
  float sums[16] = {};
  for (int i = 0; i < n; i++) sums[bins[i] % 16] += x[i * 32 + threadIdx.x];
  for (int i = 0; i < 16; i++) y[i * 32 + threadIdx.x] = sums[i];
}

// Keeps 64 values alive in 32 registers.
static __global__ void __launch_bounds__(1024, 2) spilling_kernel(float* y, const float* x) {
  float values[64];
#pragma unroll
  for (int j = 0; j < 64; j++) values[j] = x[j * 1024 + threadIdx.x];
  __syncthreads();  // no load or store moves across it
#pragma unroll
  for (int j = 0; j < 64; j++) y[j * 1024 + threadIdx.x] = values[j] * values[63 - j];
}

void use(float* y, const float* x, const int* bins) {
  launch<clean_kernel>(1, 32, 0, nullptr, y, x);
  launch<indexed_array_kernel>(1, 32, 0, nullptr, y, x, bins, 100);
  launch<spilling_kernel>(1, 1024, 0, nullptr, y, x);
}
