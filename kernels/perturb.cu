// FGM perturbation of the word embedding; see docs/kernels/perturb.md.
#include "launch.h"
#include "vector.cuh"

namespace warpbert::kernels {

template <class T>
static __global__ void __launch_bounds__(flat_threads)
    perturb_kernel(T* __restrict__ y, const float* __restrict__ x, const float* __restrict__ g,
                   const double* __restrict__ squared_norm, float epsilon, size_t n) {
  const double norm = sqrt(*squared_norm);
  const float scale = norm > 0 ? float(epsilon / norm) : 0.0f;
  const size_t begin = flat_begin();
  if (begin + flat_values <= n) {
    const size_t i = begin + threadIdx.x * 4;
    Float8 moved = load_groups(x + i);
    const Float8 gradient = load_groups(g + i);
#pragma unroll
    for (int j = 0; j < 8; j++) moved[j] += scale * gradient[j];
    store_groups(y + i, moved);
  } else {
    for (size_t j = begin + threadIdx.x; j < n; j += flat_threads) y[j] = from_float<T>(x[j] + scale * g[j]);
  }
}

void perturb(Stream stream, View y, const float* x, const float* g, const double* squared_norm,
             float epsilon) {
  if (!(epsilon >= 0)) refuse("perturb", "epsilon = ", epsilon);
  if (y.ld != y.cols || y.rows.capacity < 0) refuse("perturb", shape(y), " must be contiguous");
  const size_t n = size_t(y.rows.capacity) * y.cols;
  with_dtype(y.dtype, [&]<class T>() {
    if (n)
      launch<perturb_kernel<T>>(flat_blocks(n), flat_threads, 0, stream, y.as<T>(), x, g, squared_norm,
                                epsilon, n);
  });
}

}  // namespace warpbert::kernels
