// Solution of exercise 7: dx of LayerNorm without gain and bias, y = x̂ = (x − mean)·rstd. A warp takes a row
// of 64 columns, two a lane.
#include "simt/simt.h"

static __global__ void norm_backward_kernel(float* dx, const float* dy, const float* x, const float* mean,
                                            const float* rstd) {
  const int row = int(blockIdx.x), lane = int(threadIdx.x);
  float g[2], xhat[2];
  for (int k = 0; k < 2; k++) {
    const int i = row * 64 + k * 32 + lane;
    g[k] = dy[i];
    xhat[k] = (x[i] - mean[row]) * rstd[row];
  }
  const float mean_g = warp_sum(g[0] + g[1]) / 64;
  const float mean_gx = warp_sum(g[0] * xhat[0] + g[1] * xhat[1]) / 64;
  for (int k = 0; k < 2; k++) dx[row * 64 + k * 32 + lane] = rstd[row] * (g[k] - mean_g - xhat[k] * mean_gx);
}
