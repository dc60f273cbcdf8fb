// Rung 1: a kernel for each line of the formula. Maximum and sum pass through device memory, and three of
// four kernels read all logits.
#include "cross_entropy.cuh"

namespace warpbert::ladders {

template <class T>
static __global__ void maximum_kernel(LogitRows<T> a, float* max) {
  const int m = int(blockIdx.x);
  if (m >= *a.rows.count) return;
  float mine = -INFINITY;
  for (int c = int(threadIdx.x); c < a.classes; c += 256) mine = fmaxf(mine, a.z(m, c));
  const float most = block_merge(mine, [](float x, float y) { return fmaxf(x, y); });
  if (threadIdx.x == 0) max[m] = most;
}

template <class T>
static __global__ void sum_kernel(LogitRows<T> a, const float* max, float* sum) {
  const int m = int(blockIdx.x);
  if (m >= *a.rows.count) return;
  float mine = 0;
  for (int c = int(threadIdx.x); c < a.classes; c += 256) mine += fast_exp(a.z(m, c) - max[m]);
  const float all = block_merge(mine, [](float x, float y) { return x + y; });
  if (threadIdx.x == 0) sum[m] = all;
}

template <class T>
static __global__ void loss_kernel(LogitRows<T> a, const float* max, const float* sum) {
  const int m = int(blockIdx.x);
  if (m < *a.rows.count) store_loss(a, m, max[m], sum[m]);
  else a.loss[m] = 0;
}

template <class T>
static __global__ void gradient_kernel(LogitRows<T> a, const float* max, const float* sum) {
  const int m = int(blockIdx.x);
  store_gradient(a, m, max[m], sum[m]);
}

kernels::View cross_entropy_four_kernels(kernels::Stream stream, float* loss, kernels::View dlogits,
                                         float* statistics, const kernels::CrossEntropyArgs& args) {
  return with_rows(loss, dlogits, args, [&]<class T>(const LogitRows<T>& a) {
    const unsigned rows = unsigned(a.rows.capacity);
    float *const max = statistics, *const sum = statistics + rows;
    launch<maximum_kernel<T>>(rows, 256, 0, stream, a, max);
    launch<sum_kernel<T>>(rows, 256, 0, stream, a, max, sum);
    launch<loss_kernel<T>>(rows, 1, 0, stream, a, max, sum);
    launch<gradient_kernel<T>>(rows, 256, 0, stream, a, max, sum);
  });
}

}  // namespace warpbert::ladders
