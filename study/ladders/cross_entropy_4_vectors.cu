// Rung 4: 512 threads, eight adjacent columns each. A thread takes one maximum for eight columns, and
// shuffles leave one barrier a row. The gradient still has a matrix of its own.
#include "cross_entropy.cuh"

namespace warpbert::ladders {

using kernels::Float8;
constexpr int threads = 512, warps = threads / 32;

// Eight z from column c on; −∞ from `classes` on.
template <class T>
__device__ Float8 load_z(const LogitRows<T>& a, int m, int c) {
  Float8 z = kernels::load8(a.logits + size_t(m) * a.ld + c), b = {};
  if (c + 8 <= a.classes) b = kernels::load8(a.bias + c);
  for (int j = 0; j < 8; j++)
    if (c + 8 > a.classes && c + j < a.classes) b[j] = a.bias[c + j];
  for (int j = 0; j < 8; j++) z[j] = c + j < a.classes ? z[j] + b[j] : -INFINITY;
  return z;
}

__device__ inline SoftmaxSum merge_lanes(SoftmaxSum s) {
  const float max = warp_max(s.max);
  return {max, warp_sum(s.sum * fast_exp(s.max - max))};
}

template <class T>
static __global__ void vectors_kernel(LogitRows<T> a) {
  auto& of_warps = shared<SoftmaxSum[warps]>();
  const int m = int(blockIdx.x), thread = int(threadIdx.x);
  T* const gradient = a.dlogits + size_t(m) * a.ld;
  if (m >= *a.rows.count) {
    for (int c = thread * 8; c < a.ld; c += threads * 8) kernels::store8(gradient + c, Float8{});
    if (thread == 0) a.loss[m] = 0;
    return;
  }
  SoftmaxSum s;
  for (int c = thread * 8; c < a.classes; c += threads * 8) {
    const Float8 z = load_z(a, m, c);
    SoftmaxSum eight;
    for (int j = 0; j < 8; j++) eight.max = fmaxf(eight.max, z[j]);
    for (int j = 0; j < 8; j++) eight.sum += fast_exp(z[j] - eight.max);
    s = merge(s, eight);
  }
  s = merge_lanes(s);
  if (thread % 32 == 0) of_warps[thread / 32] = s;
  __syncthreads();  // sums of the warps are stored
  s = merge_lanes(thread % 32 < warps ? of_warps[thread % 32] : SoftmaxSum{});
  if (thread == 0) store_loss(a, m, s.max, s.sum);

  const kernels::Target target = a.targets[m];
  const float k = *a.scale, w = target.other_weight;
  for (int c = thread * 8; c < a.ld; c += threads * 8) {
    Float8 z = load_z(a, m, c);
    for (int j = 0; j < 8; j++) {
      z[j] = k / s.sum * fast_exp(z[j] - s.max);
      if (c + j == target.token) z[j] -= k * (1 - w);
      if (c + j == target.other) z[j] -= k * w;
    }
    kernels::store8(gradient + c, z);
  }
}

kernels::View cross_entropy_vectors(kernels::Stream stream, float* loss, kernels::View dlogits, float*,
                                    const kernels::CrossEntropyArgs& args) {
  return with_rows(loss, dlogits, args, [&]<class T>(const LogitRows<T>& a) {
    launch<vectors_kernel<T>>(unsigned(a.rows.capacity), threads, 0, stream, a);
  });
}

}  // namespace warpbert::ladders
