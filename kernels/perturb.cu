// FGM perturbation (Miyato et al. 2017, "Adversarial Training Methods for Semi-Supervised Text
// Classification"): moves the whole word embedding by ε along its gradient. y is a separate array, so x need
// not be restored.
// Reads 8 bytes per value and writes 2 or 4; eight values per thread.
#include <stdexcept>
#include <string>

#include "kernels.h"
#include "vector.cuh"

namespace warpbert::kernels {

template <class T>
static __global__ void __launch_bounds__(flat_threads)
    perturb_kernel(T* __restrict__ y, const float* __restrict__ x, const float* __restrict__ g,
                   const double* __restrict__ square_sum, float epsilon, size_t n) {
  const double norm = sqrt(*square_sum);
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

template <class T>
void perturb(Stream stream, T* y, const float* x, const float* g, const double* square_sum, float epsilon,
             size_t n) {
  if (!(epsilon >= 0)) throw std::invalid_argument("perturb: epsilon = " + std::to_string(epsilon));
  if (n) launch<perturb_kernel<T>>(flat_blocks(n), flat_threads, 0, stream, y, x, g, square_sum, epsilon, n);
}

template void perturb(Stream, float*, const float*, const float*, const double*, float, size_t);
template void perturb(Stream, bf16*, const float*, const float*, const double*, float, size_t);

}  // namespace warpbert::kernels
