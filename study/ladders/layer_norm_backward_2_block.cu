// Rung 2: a block a row, 256 threads. Neighbours read neighbours, so no sector is read in part. But nine
// barriers a row, and x and dy are read twice.
#include "layer_norm_backward.cuh"

namespace warpbert::ladders {

static __global__ void layer_norm_backward_block_kernel(NormRows a) {
  auto& sums = shared<float[2][256]>();
  const int row = int(blockIdx.x), thread = int(threadIdx.x);
  const size_t begin = size_t(row) * a.hidden;
  if (row >= *a.rows.count) {
    for (int c = thread; c < a.hidden; c += 256) a.dx[begin + c] = 0;
    return;
  }
  const float mean = a.mean[row], rstd = a.rstd[row];
  float sum_g = 0, sum_gx = 0;
  for (int c = thread; c < a.hidden; c += 256) {
    const float g = a.gamma[c] * a.dy[begin + c];
    sum_g += g, sum_gx += g * (a.x[begin + c] - mean) * rstd;
  }
  sums[0][thread] = sum_g, sums[1][thread] = sum_gx;
  for (int half = 128; half > 0; half /= 2) {
    __syncthreads();  // sums of the last turn are stored
    if (thread >= half) continue;
    sums[0][thread] += sums[0][thread + half];
    sums[1][thread] += sums[1][thread + half];
  }
  __syncthreads();  // the totals are stored
  const float mean_g = sums[0][0] / a.hidden, mean_gx = sums[1][0] / a.hidden;
  for (int c = thread; c < a.hidden; c += 256)
    finish_column(a, row, c, a.dy[begin + c], (a.x[begin + c] - mean) * rstd, mean_g, mean_gx);
}

void layer_norm_backward_block(kernels::Stream stream, kernels::GradView dx, float* partials,
                               kernels::View dy, const kernels::NormArgs& args) {
  const NormRows a = prepare(stream, dx, partials, dy, args);
  launch<layer_norm_backward_block_kernel>(unsigned(a.rows.capacity), 256, 0, stream, a);
}

}  // namespace warpbert::ladders
