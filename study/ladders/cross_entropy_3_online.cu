// Rung 3: the online softmax takes maximum and sum from one walk and one tree; a larger maximum rescales the
// sum. A thread still loads 4 bytes at a time.
#include "cross_entropy.cuh"

namespace warpbert::ladders {

template <class T>
static __global__ void online_kernel(LogitRows<T> a) {
  const int m = int(blockIdx.x);
  SoftmaxSum s;
  if (m < *a.rows.count) {
    for (int c = int(threadIdx.x); c < a.classes; c += 256) s = merge(s, {a.z(m, c), 1});
    s = block_merge(s, merge);
    if (threadIdx.x == 0) store_loss(a, m, s.max, s.sum);
  } else if (threadIdx.x == 0) {
    a.loss[m] = 0;
  }
  store_gradient(a, m, s.max, s.sum);
}

kernels::View cross_entropy_online(kernels::Stream stream, float* loss, kernels::View dlogits, float*,
                                   const kernels::CrossEntropyArgs& args) {
  return with_rows(loss, dlogits, args, [&]<class T>(const LogitRows<T>& a) {
    launch<online_kernel<T>>(unsigned(a.rows.capacity), 256, 0, stream, a);
  });
}

}  // namespace warpbert::ladders
