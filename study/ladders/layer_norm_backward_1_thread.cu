// Rung 1: a thread a row, as one would write it for a CPU. Lanes are a row apart: each takes 4 bytes of a
// sector of its own, eight times the sectors. 992 rows are 992 threads; an H100 has room for 270,000.
#include "layer_norm_backward.cuh"

namespace warpbert::ladders {

static __global__ void layer_norm_backward_thread_kernel(NormRows a) {
  const int row = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (row >= a.rows.capacity) return;
  const size_t begin = size_t(row) * a.hidden;
  if (row >= *a.rows.count) {
    for (int c = 0; c < a.hidden; c++) a.dx[begin + c] = 0;
    return;
  }
  const float mean = a.mean[row], rstd = a.rstd[row];
  float mean_g = 0, mean_gx = 0;
  for (int c = 0; c < a.hidden; c++) {
    const float g = a.gamma[c] * a.dy[begin + c];
    mean_g += g / a.hidden, mean_gx += g * (a.x[begin + c] - mean) * rstd / a.hidden;
  }
  for (int c = 0; c < a.hidden; c++)
    finish_column(a, row, c, a.dy[begin + c], (a.x[begin + c] - mean) * rstd, mean_g, mean_gx);
}

void layer_norm_backward_thread(kernels::Stream stream, kernels::GradView dx, float* partials,
                                kernels::View dy, const kernels::NormArgs& args) {
  const NormRows a = prepare(stream, dx, partials, dy, args);
  launch<layer_norm_backward_thread_kernel>(unsigned(a.rows.capacity + 63) / 64, 64, 0, stream, a);
}

}  // namespace warpbert::ladders
