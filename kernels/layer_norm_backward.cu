// LayerNorm backward moves 6 bytes per element in bf16, 8 when fused. A warp takes two rows, all loads in
// flight, and sums dγ, dβ, dbias in registers. A block owns 8 rows at any capacity: partial sums keep their
// bits.
#include "layer_norm.cuh"

namespace warpbert::kernels {
namespace {

using namespace norm;

constexpr int rows_per_block = 2 * warps;

__device__ __forceinline__ int first_row() {
  return int(blockIdx.x) * rows_per_block + int(threadIdx.x) / 32 * 2;
}

// A row past the count has g = 0.
template <int V>
struct TwoRows {
  Float8 xhat[2][V];  // x̂
  Float8 g[2][V];     // gradient of γ·x̂ + β
  float rstd[2];
  float mean_g[2];   // mean(γg)
  float mean_gx[2];  // mean(γg·x̂)
};

template <class T, int V, bool dropping>
__device__ __forceinline__ void load(TwoRows<V>& two, const T* dy, const T* x, const float* mean,
                                     const float* rstd, const float* gamma, const DropoutMask<dropping>& drop,
                                     int count, int hidden) {
  const int first = first_row(), rows[2] = {first, min(first + 1, count - 1)};
  float m[2];
#pragma unroll
  for (int k = 0; k < 2; k++) {
    load_row(two.xhat[k], x + size_t(rows[k]) * hidden, hidden);
    load_row(two.g[k], dy + size_t(rows[k]) * hidden, hidden);
    m[k] = mean[rows[k]], two.rstd[k] = rstd[rows[k]];
  }
#pragma unroll
  for (int k = 0; k < 2; k++) {
    float sum = 0, product = 0;
#pragma unroll
    for (int j = 0; j < V; j++) {
      Float8 &xhat = two.xhat[k][j], &g = two.g[k][j];
      g = drop(rows[k], hidden, lane_column(j), g);
      if (first + k >= count) g = Float8{};
      const Float8 w = load8(gamma + load_column(j, hidden));
      float part = 0, part_product = 0;
#pragma unroll
      for (int e = 0; e < 8; e++) {
        xhat[e] = (xhat[e] - m[k]) * two.rstd[k];
        const float wg = w[e] * g[e];
        part += wg, part_product += wg * xhat[e];
      }
      sum += lane_column(j) < hidden ? part : 0.0f;
      product += lane_column(j) < hidden ? part_product : 0.0f;
    }
    two.mean_g[k] = warp_sum(sum) / float(hidden);
    two.mean_gx[k] = warp_sum(product) / float(hidden);
  }
}

template <int V>
__device__ __forceinline__ Float8 input_gradient(const TwoRows<V>& two, int k, int j, const float* gamma) {
  const Float8 w = load8(gamma);
  Float8 d;
#pragma unroll
  for (int e = 0; e < 8; e++)
    d[e] = two.rstd[k] * (w[e] * two.g[k][j][e] - two.mean_g[k] - two.xhat[k][j][e] * two.mean_gx[k]);
  return d;
}

template <class T>
__device__ __forceinline__ void write(T* to, const Float8& x, bool accumulate) {
  Float8 out = accumulate ? load8(to) : Float8{};
  out += x;
  store8(to, out);
}

template <int Sums, int V>
using WarpSums = float[Sums][warps][256 * V];

// Stores vector j of g·x̂ and g, summed over two rows.
template <int Sums, int V>
__device__ __forceinline__ void put_sums(WarpSums<Sums, V>& sums, const TwoRows<V>& two, int j) {
  Float8 gx, g;
#pragma unroll
  for (int e = 0; e < 8; e++) {
    gx[e] = two.g[0][j][e] * two.xhat[0][j][e] + two.g[1][j][e] * two.xhat[1][j][e];
    g[e] = two.g[0][j][e] + two.g[1][j][e];
  }
  const int warp = int(threadIdx.x) / 32, c = lane_column(j);
  store8(&sums[0][warp][c], gx);
  store8(&sums[1][warp][c], g);
}

template <int Sums, int V>
__device__ __forceinline__ void put_zeros(WarpSums<Sums, V>& sums) {
#pragma unroll
  for (int s = 0; s < Sums; s++)
#pragma unroll
    for (int j = 0; j < V; j++) store8(&sums[s][threadIdx.x / 32][lane_column(j)], Float8{});
}

// Adds the warps in order. The fixed trip count lets loads overlap.
template <int Sums, int V>
__device__ __forceinline__ void finish_block(float* partials, const WarpSums<Sums, V>& sums, int hidden) {
  __syncthreads();  // sums are stored
#pragma unroll
  for (int s = 0; s < Sums; s++)
#pragma unroll
    for (int k = 0; k < 256 * V / (32 * warps); k++) {
      const int c = int(threadIdx.x) + k * 32 * warps;
      if (c >= hidden) continue;
      float sum = 0;
#pragma unroll
      for (int w = 0; w < warps; w++) sum += sums[s][w][c];
      partials[(size_t(blockIdx.x) * Sums + s) * hidden + c] = sum;
    }
}

template <class T, int V, bool dropping>
__global__ void __launch_bounds__(32 * warps, 2)
    layer_norm_backward_kernel(T* __restrict__ dx, bool accumulate, float* __restrict__ partials,
                               const T* __restrict__ dy, const T* __restrict__ x,
                               const float* __restrict__ mean, const float* __restrict__ rstd,
                               const float* __restrict__ gamma, DropoutArgs dropout, Rows rows, int hidden) {
  auto& sums = shared<WarpSums<2, V>>();
  const int first = first_row(), count = *rows.count;
  if (first < count) {
    TwoRows<V> two;
    load(two, dy, x, mean, rstd, gamma, DropoutMask<dropping>(dropout), count, hidden);
#pragma unroll
    for (int j = 0; j < V; j++) {
      const int c = lane_column(j);
      if (c >= hidden) continue;
      put_sums<2, V>(sums, two, j);
#pragma unroll
      for (int k = 0; k < 2; k++)
        if (first + k < count)
          write(dx + size_t(first + k) * hidden + c, input_gradient(two, k, j, gamma + c), accumulate);
    }
  } else {
    put_zeros<2, V>(sums);
  }
  for (int row = max(first, count); row < min(first + 2, rows.capacity); row++)
    store_zeros<T, V>(dx + size_t(row) * hidden, hidden);
  finish_block<2, V>(partials, sums, hidden);
}

// dx and dy may alias: no __restrict__.
template <class T, int V, bool dropping>
__global__ void __launch_bounds__(32 * warps, 2)
    add_dropout_norm_backward_kernel(T* dx, T* __restrict__ dresidual, bool accumulate,
                                     float* __restrict__ partials, const T* dy, const T* __restrict__ h,
                                     const float* __restrict__ mean, const float* __restrict__ rstd,
                                     const float* __restrict__ gamma, DropoutArgs dropout, Rows rows,
                                     int hidden) {
  auto& sums = shared<WarpSums<3, V>>();
  const int first = first_row(), count = *rows.count;
  if (first < count) {
    const DropoutMask<dropping> drop(dropout);
    TwoRows<V> two;
    load(two, dy, h, mean, rstd, gamma, DropoutMask<false>(dropout), count, hidden);
#pragma unroll
    for (int j = 0; j < V; j++) {
      const int c = lane_column(j);
      if (c >= hidden) continue;
      put_sums<3, V>(sums, two, j);
      Float8 bias_sum = {};
#pragma unroll
      for (int k = 0; k < 2; k++) {
        if (first + k >= count) continue;
        const size_t i = size_t(first + k) * hidden + c;
        Float8 dh = input_gradient(two, k, j, gamma + c);
        write(dresidual + i, dh, accumulate);
        dh = drop(first + k, hidden, c, dh);
        store8(dx + i, dh);
        bias_sum += dh;
      }
      store8(&sums[2][threadIdx.x / 32][c], bias_sum);
    }
  } else {
    put_zeros<3, V>(sums);
  }
  for (int row = max(first, count); row < min(first + 2, rows.capacity); row++) {
    store_zeros<T, V>(dx + size_t(row) * hidden, hidden);
    store_zeros<T, V>(dresidual + size_t(row) * hidden, hidden);
  }
  finish_block<3, V>(partials, sums, hidden);
}

}  // namespace

int norm_blocks(int capacity) { return (capacity + rows_per_block - 1) / rows_per_block; }

void layer_norm_backward(Stream stream, GradView dx, float* partials, View dy, const NormArgs& args) {
  choose("layer_norm_backward", args, {dx.view, dy}, [&]<class T, int V, bool dropping>() {
    launch<layer_norm_backward_kernel<T, V, dropping>>(
        norm_blocks(args.x.rows.capacity), 32 * warps, 0, stream, dx.view.as<T>(),
        dx.mode == Grad::accumulate, partials, dy.as<T>(), args.x.as<T>(), args.mean, args.rstd, args.gamma,
        dropout_args(args.dropout), args.x.rows, args.x.cols);
  });
}

void add_dropout_norm_backward(Stream stream, View dx, GradView dresidual, float* partials, View dy,
                               const NormArgs& h) {
  choose("add_dropout_norm_backward", h, {dx, dresidual.view, dy}, [&]<class T, int V, bool dropping>() {
    launch<add_dropout_norm_backward_kernel<T, V, dropping>>(
        norm_blocks(h.x.rows.capacity), 32 * warps, 0, stream, dx.as<T>(), dresidual.view.as<T>(),
        dresidual.mode == Grad::accumulate, partials, dy.as<T>(), h.x.as<T>(), h.mean, h.rstd, h.gamma,
        dropout_args(h.dropout), h.x.rows, h.x.cols);
  });
}

}  // namespace warpbert::kernels
