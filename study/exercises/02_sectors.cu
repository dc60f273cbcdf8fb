// Exercise 2: gradient descent with momentum, eight values a thread in two 16-byte accesses.
#include "simt/simt.h"

static __device__ float4 update(float4& weight, float4 m, float4 grad, float momentum, float lr) {
  m = {momentum * m.x + grad.x, momentum * m.y + grad.y, momentum * m.z + grad.z, momentum * m.w + grad.w};
  weight = {weight.x - lr * m.x, weight.y - lr * m.y, weight.z - lr * m.z, weight.w - lr * m.w};
  return m;
}

// A block takes 2,048 adjacent values.
static __global__ void momentum_kernel(float* weight, float* m, const float* grad, float momentum, float lr) {
  // YOUR CODE: choose `first` and `apart` so that a warp's access has no gaps.
  const int first = int(blockIdx.x) * 2048 + int(threadIdx.x) * 8, apart = 4;
  for (int group = 0; group < 2; group++) {
    const int i = first + group * apart;
    float4 w = *reinterpret_cast<const float4*>(weight + i);
    const float4 m_before = *reinterpret_cast<const float4*>(m + i);
    const float4 g = *reinterpret_cast<const float4*>(grad + i);
    const float4 m_after = update(w, m_before, g, momentum, lr);
    *reinterpret_cast<float4*>(weight + i) = w;
    *reinterpret_cast<float4*>(m + i) = m_after;
  }
}
