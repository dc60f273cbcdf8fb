// Arguments of the rungs' kernels, and how they add to dγ and dβ: by atomics, into the partial sums of
// block 0.
#pragma once
#include "atomic_add.cuh"
#include "layer_norm_backward.h"

namespace warpbert::ladders {

struct NormRows {
  float* dx;
  bool accumulate;
  float *dgamma, *dbeta;
  const float *dy, *x, *mean, *rstd, *gamma;
  kernels::Rows rows;
  int hidden;
};

// Column c of row `row`: its gradient, given the means of γg and γg·x̂, and its part of dγ and dβ.
__device__ inline void finish_column(const NormRows& a, int row, int c, float g, float xhat, float mean_g,
                                     float mean_gx) {
  float* const to = a.dx + size_t(row) * a.hidden + c;
  const float before = a.accumulate ? *to : 0;
  *to = before + a.rstd[row] * (a.gamma[c] * g - mean_g - xhat * mean_gx);
  atomicAdd(a.dgamma + c, g * xhat);
  atomicAdd(a.dbeta + c, g);
}

static __global__ void zero_kernel(float* x, int n) {
  for (int i = int(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += int(gridDim.x * blockDim.x)) x[i] = 0;
}

// Zeroes the partial sums.
inline NormRows prepare(kernels::Stream stream, const kernels::GradView& dx, float* partials,
                        const kernels::View& dy, const kernels::NormArgs& args) {
  const int hidden = args.x.cols, n = kernels::norm_blocks(args.x.rows.capacity) * 2 * hidden;
  launch<zero_kernel>(8, 256, 0, stream, partials, n);
  return {dx.view.as<float>(),
          dx.mode == kernels::Grad::accumulate,
          partials,
          partials + hidden,
          dy.as<float>(),
          args.x.as<float>(),
          args.mean,
          args.rstd,
          args.gamma,
          args.x.rows,
          hidden};
}

}  // namespace warpbert::ladders
