// Adam in Keras's form: ε is added to √v before bias correction. Can also update EMA weights (Polyak &
// Juditsky 1992) and sum squared gradients. See docs/kernels/adam.md.
//
// A thread takes eight values, eight 16-byte loads in flight, and sums their squares in float (relative error
// <= 8·2⁻²⁴). Moves 30 bytes a parameter, 28 without weight, 8 more with EMA.
#include "block_sum.cuh"
#include "launch.h"
#include "vector.cuh"

namespace warpbert::kernels {

// Explicit fmaf: both loops round alike, whatever the compiler contracts.
static __device__ __forceinline__ void adam_update(float& p, float& m, float& v, float g, AdamConstants k,
                                                   AdamStep step) {
  g *= step.grad_scale;
  m = fmaf(k.beta1, m, (1 - k.beta1) * g);
  v = fmaf(k.beta2, v, (1 - k.beta2) * g * g);
  p -= fmaf(step.decay, p, step.step_size * m / (sqrtf(v) + k.epsilon));
}

static_assert(adam_values_a_block == flat_values);

static __global__ void __launch_bounds__(flat_threads)
    adam_kernel(float* __restrict__ master, bf16* __restrict__ weight, float* __restrict__ m,
                float* __restrict__ v, const float* __restrict__ grad, float* __restrict__ average,
                double* __restrict__ squares, size_t n, AdamConstants k,
                const AdamStep* __restrict__ step_on_device, const int* __restrict__ do_update) {
  if (do_update && !*do_update) return;
  const AdamStep step = *step_on_device;
  const size_t begin = flat_begin();
  float square = 0;
  if (begin + flat_values <= n) {
    const size_t i = begin + threadIdx.x * 4;
    Float8 p = load_groups(master + i), mi = load_groups(m + i), vi = load_groups(v + i);
    const Float8 g = load_groups(grad + i);
#pragma unroll
    for (int j = 0; j < 8; j++) adam_update(p[j], mi[j], vi[j], g[j], k, step);
#pragma unroll
    for (int j = 0; j < 8; j++) square = fmaf(g[j], g[j], square);
    store_groups(master + i, p), store_groups(m + i, mi), store_groups(v + i, vi);
    if (weight) store_groups(weight + i, p);
    if (average) {
      Float8 mean = load_groups(average + i);
#pragma unroll
      for (int j = 0; j < 8; j++) mean[j] = fmaf(step.average, p[j] - mean[j], mean[j]);
      store_groups(average + i, mean);
    }
  } else {
    for (size_t j = begin + threadIdx.x; j < n; j += flat_threads) {
      adam_update(master[j], m[j], v[j], grad[j], k, step), square = fmaf(grad[j], grad[j], square);
      if (weight) weight[j] = to_bf16(master[j]);
      if (average) average[j] = fmaf(step.average, master[j] - average[j], average[j]);
    }
  }
  if (!squares) return;
  if (double sum; block_sum<flat_threads>(sum, square)) squares[blockIdx.x] = sum;
}

void adam(Stream stream, const AdamArrays& a, size_t n, const AdamConstants& k, const AdamStep* step,
          const int* do_update) {
  if (!(k.beta1 >= 0 && k.beta1 < 1 && k.beta2 >= 0 && k.beta2 < 1 && k.epsilon > 0))
    refuse("adam", "beta1 = ", k.beta1, ", beta2 = ", k.beta2, ", epsilon = ", k.epsilon, ", n = ", n);
  if (!n) return;
  launch<adam_kernel>(unsigned(adam_blocks(n)), flat_threads, 0, stream, a.master, a.weight, a.m, a.v, a.grad,
                      a.average, a.squares, n, k, step, do_update);
}

static __global__ void clip_kernel(AdamStep* __restrict__ steps, int n,
                                   const double* __restrict__ squared_norm, float clip_norm) {
  const double norm = sqrt(*squared_norm);
  for (int i = int(threadIdx.x); i < n; i += int(blockDim.x))
    steps[i].grad_scale = norm > clip_norm ? float(clip_norm / norm) : 1.0f;
}

// One warp, four norms per lane.
static __global__ void reject_outlier_kernel(int* __restrict__ do_update, double* __restrict__ history,
                                             const double* __restrict__ squared_norm,
                                             const int* __restrict__ all_finite, float limit) {
  const int lane = int(threadIdx.x);
  const double norm = sqrt(*squared_norm), seen = history[norm_window], skipped = history[norm_window + 1];
  double sum = 0, squares = 0;
  for (int i = lane; i < norm_window; i += 32) sum += history[i], squares += history[i] * history[i];
  sum = warp_sum(sum), squares = warp_sum(squares);
  __syncwarp();  // all lanes have read history; a sum does not order memory
  if (lane) return;
  const double mean = sum / norm_window, deviation = sqrt(fmax(squares / norm_window - mean * mean, 0.0));
  const bool finite = norm - norm == 0,
             outlier = !finite || (seen >= norm_window && norm > mean + limit * deviation);
  *do_update = (!all_finite || *all_finite) && !outlier;
  if (finite) history[int(seen) % norm_window] = norm, history[norm_window] = seen + 1;
  if (outlier) history[norm_window + 1] = skipped + 1;
}

void reject_outlier(Stream stream, int* do_update, double* history, const double* squared_norm,
                    const int* finite, float limit) {
  if (!(limit > 0)) refuse("reject_outlier", "limit = ", limit);
  launch<reject_outlier_kernel>(1, 32, 0, stream, do_update, history, squared_norm, finite, limit);
}

void clip(Stream stream, AdamStep* steps, int n, const double* squared_norm, float clip_norm) {
  if (n < 1 || !(clip_norm > 0)) refuse("clip", "n = ", n, ", clip_norm = ", clip_norm);
  launch<clip_kernel>(1, 32, 0, stream, steps, n, squared_norm, clip_norm);
}

}  // namespace warpbert::kernels
