// Solution of exercise 4: sums of rows of 256 numbers, one number a thread. A block takes several rows.
#include "simt/simt.h"

static __global__ void row_sums_kernel(float* sums, const float* x, int rows) {
  auto& parts = shared<float[8]>();  // sum of each warp
  for (int row = int(blockIdx.x); row < rows; row += int(gridDim.x)) {
    const float part = warp_sum(x[row * 256 + int(threadIdx.x)]);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = part;
    __syncthreads();  // all parts are stored
    if (threadIdx.x == 0) {
      float sum = 0;
      for (int warp = 0; warp < 8; warp++) sum += parts[warp];
      sums[row] = sum;
    }
    __syncthreads();  // parts are read: the next row may overwrite them
  }
}
