// Arguments of the rungs' kernels; loss and gradient of a row, given its maximum and Σ exp(z − max).
#pragma once
#include "cross_entropy.h"
#include "kernels/launch.h"
#include "kernels/vector.cuh"

namespace warpbert::ladders {

template <class T>
struct LogitRows {
  float* loss;
  T* dlogits;
  const float *logits, *bias;
  const kernels::Target* targets;
  const float* scale;
  kernels::Rows rows;
  int classes, ld;

  __device__ float z(int m, int c) const { return logits[size_t(m) * ld + c] + bias[c]; }
};

// Calls f(LogitRows<T>) if there are rows; returns `dlogits`.
template <class F>
kernels::View with_rows(float* loss, const kernels::View& dlogits, const kernels::CrossEntropyArgs& args,
                        F f) {
  kernels::with_dtype(dlogits.dtype, [&]<class T>() {
    const LogitRows<T> a = {loss,         dlogits.as<T>(), args.logits.as<float>(), args.bias,
                            args.targets, args.scale,      args.logits.rows,        args.classes,
                            dlogits.ld};
    if (a.rows.capacity) f(a);
  });
  return dlogits;
}

template <class T>
__device__ void store_loss(const LogitRows<T>& a, int m, float max, float sum) {
  const kernels::Target target = a.targets[m];
  const float w = target.other_weight, other = w != 0 ? w * (max - a.z(m, target.other)) : 0;
  a.loss[m] = logf(sum) + (1 - w) * (max - a.z(m, target.token)) + other;
}

// 256 threads; zeros in padding rows and columns.
template <class T>
__device__ void store_gradient(const LogitRows<T>& a, int m, float max, float sum) {
  const bool real = m < *a.rows.count;
  const kernels::Target target = real ? a.targets[m] : kernels::Target{};
  const float k = *a.scale, w = target.other_weight;
  for (int c = int(threadIdx.x); c < a.ld; c += 256) {
    float g = real && c < a.classes ? k / sum * fast_exp(a.z(m, c) - max) : 0;
    if (real && c == target.token) g -= k * (1 - w);
    if (real && c == target.other) g -= k * w;
    const T rounded = from_float<T>(g);
    a.dlogits[size_t(m) * a.ld + c] = rounded;
  }
}

// Merges the values of 256 threads; all get the result.
template <class Value, class Merge>
__device__ Value block_merge(Value mine, Merge merge) {
  auto& values = shared<Value[256]>();
  values[threadIdx.x] = mine;
  for (unsigned half = 128; half > 0; half /= 2) {
    __syncthreads();  // values of the last turn are stored
    if (threadIdx.x >= half) continue;
    const Value both = merge(values[threadIdx.x], values[threadIdx.x + half]);
    values[threadIdx.x] = both;
  }
  __syncthreads();  // the result is stored
  const Value result = values[0];
  __syncthreads();  // all have read it; the next call stores
  return result;
}

// Σ exp z = sum·exp(max).
struct SoftmaxSum {
  float max = -3.4e38f, sum = 0;  // finite: merging empty ones avoids inf − inf
};

__device__ inline SoftmaxSum merge(SoftmaxSum a, SoftmaxSum b) {
  const float m = fmaxf(a.max, b.max);
  return {m, a.sum * fast_exp(a.max - m) + b.sum * fast_exp(b.max - m)};
}

}  // namespace warpbert::ladders
