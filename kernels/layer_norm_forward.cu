// LayerNorm forward moves 4 bytes per element in bf16, 8 when fused. Two passes over registers give the
// statistics, because Σx² − mean² would cancel.
#include "layer_norm.cuh"

namespace warpbert::kernels {
namespace {

using namespace norm;

struct Statistics {
  float mean, rstd;
};

template <int V>
__device__ __forceinline__ Statistics statistics(const Float8 (&x)[V], int hidden, float epsilon) {
  float sum = 0, squares = 0;
#pragma unroll
  for (int j = 0; j < V; j++) {
    float part = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) part += x[j][i];
    sum += lane_column(j) < hidden ? part : 0.0f;
  }
  const float mean = warp_sum(sum) / float(hidden);
#pragma unroll
  for (int j = 0; j < V; j++) {
    float part = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) part += (x[j][i] - mean) * (x[j][i] - mean);
    squares += lane_column(j) < hidden ? part : 0.0f;
  }
  return {mean, rsqrtf(warp_sum(squares) / float(hidden) + epsilon)};
}

// Loads precede the statistics, which hide their latency.
template <int V>
struct Affine {
  Float8 gamma[V], beta[V];
};

template <int V>
__device__ __forceinline__ void load_affine(Affine<V>& to, const float* gamma, const float* beta,
                                            int hidden) {
#pragma unroll
  for (int j = 0; j < V; j++) {
    const int c = load_column(j, hidden);
    to.gamma[j] = load8(gamma + c), to.beta[j] = load8(beta + c);
  }
}

__device__ __forceinline__ Float8 normalise(const Float8& x, Statistics s, const Float8& gamma,
                                            const Float8& beta) {
  Float8 y;
#pragma unroll
  for (int i = 0; i < 8; i++) y[i] = (x[i] - s.mean) * s.rstd * gamma[i] + beta[i];
  return y;
}

template <class T, int V, bool dropping>
__global__ void __launch_bounds__(32 * warps, 2)
    layer_norm_forward_kernel(T* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd,
                              const T* __restrict__ x, const float* __restrict__ gamma,
                              const float* __restrict__ beta, float epsilon, DropoutArgs dropout, Rows rows,
                              int hidden) {
  const int row = int(blockIdx.x) * warps + int(threadIdx.x) / 32;
  if (row >= rows.capacity) return;
  const size_t begin = size_t(row) * hidden;
  Statistics s = {};
  if (row >= *rows.count) {
    store_zeros<T, V>(y + begin, hidden);
  } else {
    const DropoutMask<dropping> drop(dropout);
    Float8 a[V];
    Affine<V> affine;
    load_row(a, x + begin, hidden);
    load_affine(affine, gamma, beta, hidden);
    s = statistics(a, hidden, epsilon);
#pragma unroll
    for (int j = 0; j < V; j++)
      if (const int c = lane_column(j); c < hidden)
        store8(y + begin + c, drop(row, hidden, c, normalise(a[j], s, affine.gamma[j], affine.beta[j])));
  }
  if (threadIdx.x % 32 == 0) mean[row] = s.mean, rstd[row] = s.rstd;
}

// x and h may alias: no __restrict__.
template <class T, int V, bool dropping>
__global__ void __launch_bounds__(32 * warps, 2)
    add_dropout_norm_forward_kernel(T* __restrict__ y, T* h, float* __restrict__ mean,
                                    float* __restrict__ rstd, const T* x, const float* __restrict__ bias,
                                    const T* __restrict__ residual, const float* __restrict__ gamma,
                                    const float* __restrict__ beta, float epsilon, DropoutArgs dropout,
                                    Rows rows, int hidden) {
  const int row = int(blockIdx.x) * warps + int(threadIdx.x) / 32;
  if (row >= rows.capacity) return;
  const size_t begin = size_t(row) * hidden;
  Statistics s = {};
  if (row >= *rows.count) {
    store_zeros<T, V>(h + begin, hidden);
    store_zeros<T, V>(y + begin, hidden);
  } else {
    const DropoutMask<dropping> drop(dropout);
    Float8 a[V], r[V];
    Affine<V> affine;
    load_row(a, x + begin, hidden);
    load_row(r, residual + begin, hidden);
    load_affine(affine, gamma, beta, hidden);
#pragma unroll
    for (int j = 0; j < V; j++) {
      a[j] += load8(bias + load_column(j, hidden));
      a[j] = drop(row, hidden, lane_column(j), a[j]);
      a[j] += r[j];
      // Backward reads the rounded h.
      const int c = lane_column(j);
      a[j] = store8_and_round(h + begin + c, a[j], c < hidden);
    }
    s = statistics(a, hidden, epsilon);
#pragma unroll
    for (int j = 0; j < V; j++)
      if (const int c = lane_column(j); c < hidden)
        store8(y + begin + c, normalise(a[j], s, affine.gamma[j], affine.beta[j]));
  }
  if (threadIdx.x % 32 == 0) mean[row] = s.mean, rstd[row] = s.rstd;
}

}  // namespace

static int forward_blocks(const NormArgs& args) { return (args.x.rows.capacity + warps - 1) / warps; }

void layer_norm_forward(Stream stream, View y, const NormArgs& args) {
  choose("layer_norm_forward", args, {y}, [&]<class T, int V, bool dropping>() {
    launch<layer_norm_forward_kernel<T, V, dropping>>(
        forward_blocks(args), 32 * warps, 0, stream, y.as<T>(), args.mean, args.rstd, args.x.as<T>(),
        args.gamma, args.beta, args.epsilon, dropout_args(args.dropout), args.x.rows, args.x.cols);
  });
}

void add_dropout_norm_forward(Stream stream, View y, View x, const float* bias, View residual,
                              const NormArgs& h) {
  choose("add_dropout_norm_forward", h, {y, x, residual}, [&]<class T, int V, bool dropping>() {
    launch<add_dropout_norm_forward_kernel<T, V, dropping>>(
        forward_blocks(h), 32 * warps, 0, stream, y.as<T>(), h.x.as<T>(), h.mean, h.rstd, x.as<T>(), bias,
        residual.as<T>(), h.gamma, h.beta, h.epsilon, dropout_args(h.dropout), h.x.rows, h.x.cols);
  });
}

}  // namespace warpbert::kernels
