// Rung 2: one kernel. A block keeps maximum and sum of its row, but walks the row three times, and a tree
// takes ten barriers.
#include "cross_entropy.cuh"

namespace warpbert::ladders {

template <class T>
static __global__ void three_walks_kernel(LogitRows<T> a) {
  const int m = int(blockIdx.x);
  float max = -INFINITY, sum = 0;
  if (m < *a.rows.count) {
    for (int c = int(threadIdx.x); c < a.classes; c += 256) max = fmaxf(max, a.z(m, c));
    max = block_merge(max, [](float x, float y) { return fmaxf(x, y); });
    for (int c = int(threadIdx.x); c < a.classes; c += 256) sum += fast_exp(a.z(m, c) - max);
    sum = block_merge(sum, [](float x, float y) { return x + y; });
    if (threadIdx.x == 0) store_loss(a, m, max, sum);
  } else if (threadIdx.x == 0) {
    a.loss[m] = 0;
  }
  store_gradient(a, m, max, sum);
}

kernels::View cross_entropy_three_walks(kernels::Stream stream, float* loss, kernels::View dlogits, float*,
                                        const kernels::CrossEntropyArgs& args) {
  return with_rows(loss, dlogits, args, [&]<class T>(const LogitRows<T>& a) {
    launch<three_walks_kernel<T>>(unsigned(a.rows.capacity), 256, 0, stream, a);
  });
}

}  // namespace warpbert::ladders
