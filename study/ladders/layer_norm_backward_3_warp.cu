// Rung 3: a warp a row. A lane keeps every 32nd column in registers, so x and dy are read once, and a warp
// adds by shuffles: no barrier, no shared memory. Each row still adds to dγ and dβ by 2·H atomics, whose
// order decides the last bits.
#include "layer_norm_backward.cuh"

namespace warpbert::ladders {

static __global__ void layer_norm_backward_warp_kernel(NormRows a) {
  const int row = int(blockIdx.x) * 4 + int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  if (row >= a.rows.capacity) return;
  const size_t begin = size_t(row) * a.hidden;
  if (row >= *a.rows.count) {
    for (int c = lane; c < a.hidden; c += 32) a.dx[begin + c] = 0;
    return;
  }
  const float mean = a.mean[row], rstd = a.rstd[row];
  float g[32], xhat[32];  // 1,024 columns
  float mean_g = 0, mean_gx = 0;
#pragma unroll
  for (int k = 0; k < 32; k++) {
    const int c = lane + k * 32;
    if (c >= a.hidden) continue;
    g[k] = a.dy[begin + c], xhat[k] = (a.x[begin + c] - mean) * rstd;
    const float w = a.gamma[c] / a.hidden;
    mean_g += w * g[k], mean_gx += w * g[k] * xhat[k];
  }
  mean_g = warp_sum(mean_g), mean_gx = warp_sum(mean_gx);
#pragma unroll
  for (int k = 0; k < 32; k++)
    if (lane + k * 32 < a.hidden) finish_column(a, row, lane + k * 32, g[k], xhat[k], mean_g, mean_gx);
}

void layer_norm_backward_warp(kernels::Stream stream, kernels::GradView dx, float* partials, kernels::View dy,
                              const kernels::NormArgs& args) {
  const NormRows a = prepare(stream, dx, partials, dy, args);
  launch<layer_norm_backward_warp_kernel>(unsigned(a.rows.capacity + 3) / 4, 128, 0, stream, a);
}

}  // namespace warpbert::ladders
