// Adam (Kingma & Ba 2015) in Keras's form, where ε is added to √v before the correction of its bias ("ε-hat", at the
// end of their §2) and both corrections are one factor in the rate:
//   g = grad·grad_scale;  m = β1·m + (1 − β1)·g;  v = β2·v + (1 − β2)·g²
//   master −= decay·master + rate·m/(√v + ε),  rate = lr·√(1 − β2ᵗ)/(1 − β1ᵗ)
// and the bf16 weight that the GEMMs read is the master, rounded.
//
// All parameters of the model lie in flat arrays, so one launch updates them all. It reads master, m, v and grad and
// writes master, m, v and weight: 30 bytes a parameter (28 without weight), and a dozen operations: bound by memory.
// BERT-base's 91 M parameters take 0.63 ms at 4.3 TB/s, which makes this the step's largest memory bill.
//
// A thread takes eight neighbours: eight 16-byte loads are in flight at once, and the bf16 side is one 16-byte store.
#include <stdexcept>
#include <string>

#include "kernels.h"
#include "vector.h"

namespace warpbert::kernels {

struct Moments {
  float beta1, beta2, epsilon;
};

static __device__ __forceinline__ void adam_update(float& p, float& m, float& v, float g, Moments k, AdamStep step) {
  g *= step.grad_scale;
  m = k.beta1 * m + (1 - k.beta1) * g;
  v = k.beta2 * v + (1 - k.beta2) * g * g;
  p -= step.decay * p + step.rate * m / (sqrtf(v) + k.epsilon);
}

static __global__ void __launch_bounds__(256)
    adam_kernel(float* __restrict__ master, bf16* __restrict__ weight, float* __restrict__ m, float* __restrict__ v,
                const float* __restrict__ grad, size_t n, Moments k, const AdamStep* __restrict__ step_on_device,
                const int* __restrict__ ok) {
  if (ok && !*ok) return;  // a loss of this step was not finite: nothing changes, m and v included
  const AdamStep step = *step_on_device;
  const size_t i = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
  if (i + 8 <= n) {
    Float8 p = load8(master + i), mi = load8(m + i), vi = load8(v + i);
    const Float8 g = load8(grad + i);
#pragma unroll
    for (int j = 0; j < 8; j++) adam_update(p[j], mi[j], vi[j], g[j], k, step);
    store8(master + i, p), store8(m + i, mi), store8(v + i, vi);
    if (weight) store8(weight + i, p);
  } else {
    for (size_t j = i; j < n; j++) {
      adam_update(master[j], m[j], v[j], grad[j], k, step);
      if (weight) weight[j] = to_bf16(master[j]);
    }
  }
}

void adam(Stream stream, float* master, bf16* weight, float* m, float* v, const float* grad, size_t n, float beta1,
          float beta2, float epsilon, const AdamStep* step, const int* ok) {
  if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1 && epsilon > 0))
    throw std::invalid_argument("adam: beta1 = " + std::to_string(beta1) + ", beta2 = " + std::to_string(beta2) +
                                ", epsilon = " + std::to_string(epsilon) + ", n = " + std::to_string(n));
  if (!n) return;
  launch<adam_kernel>(unsigned((n + 2047) / 2048), 256, 0, stream, master, weight, m, v, grad, n,
                      Moments{beta1, beta2, epsilon}, step, ok);
}

static __global__ void clip_kernel(AdamStep* __restrict__ steps, int n, const double* __restrict__ square_sum,
                                   float clip_norm) {
  const double norm = sqrt(*square_sum);
  if (int(threadIdx.x) < n) steps[threadIdx.x].grad_scale = norm > clip_norm ? float(clip_norm / norm) : 1.0f;
}

void clip(Stream stream, AdamStep* steps, int n, const double* square_sum, float clip_norm) {
  if (n < 1 || n > 32 || !(clip_norm > 0))
    throw std::invalid_argument("clip: n = " + std::to_string(n) + ", clip_norm = " + std::to_string(clip_norm));
  launch<clip_kernel>(1, 32, 0, stream, steps, n, square_sum, clip_norm);
}

}  // namespace warpbert::kernels
