// Exercise 1: y = residual + scale·x, one element a thread.
#include "simt/simt.h"

static __global__ void scale_add_kernel(float* y, const float* x, const float* residual, float scale, int n) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  // YOUR CODE: the grid has more threads than y has elements.
  y[i] = residual[i] + scale * x[i];
}
