// LayerNorm (Ba et al. 2016), alone and as the step around each sublayer, forward and backward.
//
//   mean = Σ x/H,  rstd = 1/√(Σ (x − mean)²/H + ε),  x̂ = (x − mean)·rstd,  y = γ·x̂ + β             x, y: [N, H]
//   dx = rstd·(γg − mean(γg) − x̂·mean(γg·x̂)),  dγ = Σ g·x̂,  dβ = Σ g over the rows                  g: gradient of y
//
// Forward moves 4 bytes an element in bf16 (8 around a sublayer: x, residual, h, y), backward 6 (8): for [1000, 768]
// 0.7, 1.4, 1.1 and 1.4 µs at 4.3 TB/s, less than a launch takes. So each row is read once and stays in registers:
// a warp has a row, a lane V vectors of 8 neighbours (one 16-byte access each in bf16), V = ⌈H/256⌉, and the statistics
// are two passes over registers, mean first, because Σx² − mean² would cancel.
//
// In backward a warp takes two rows at once: the loads of both are in flight together, and what they add to dγ, dβ and
// dbias meets in registers before it goes through shared memory. A block owns 8 rows, whatever the capacity, so that
// partial sums keep their bits when the capacity grows: blocks beyond the count then only add zeros.
#include <stdexcept>
#include <string>

#include "kernels.h"
#include "philox.h"
#include "vector.h"

namespace warpbert::kernels {
namespace {

constexpr int warps = 4;                   // of every block here
constexpr int rows_per_block = 2 * warps;  // in backward

// A Dropout as the kernels want it.
struct Mask {
  uint32_t threshold;  // a value is kept iff its random word is at least this …
  float scale;         // … and then multiplied by this
  uint32_t site;
  const RandomState* random;
};

// The dropout of eight neighbours; `element` is the number of the first, a multiple of 8.
__device__ __forceinline__ Float8 drop(const Mask& mask, uint64_t element, Float8 x) {
  const uint64_t seed = mask.random->seed;
  const uint32_t pass = mask.random->pass;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const Random4 words = random4(seed, pass, mask.site, element / 4 + half);
#pragma unroll
    for (int i = 0; i < 4; i++) x[4 * half + i] = words.v[i] >= mask.threshold ? x[4 * half + i] * mask.scale : 0.0f;
  }
  return x;
}

// The columns of a lane: vector j begins here. Where the row is already over, gains and biases are loaded from its last
// vector, and nothing is done with them: a branch around a load would make the next load wait for this one. Of the row
// itself a lane reads only what it owns, as in-place use writes it.
__device__ __forceinline__ int lane_column(int j) { return j * 256 + int(threadIdx.x) % 32 * 8; }
__device__ __forceinline__ int load_column(int j, int hidden) { return min(lane_column(j), hidden - 8); }

template <class T, int V>
__device__ __forceinline__ void load_row(Float8 (&to)[V], const T* row, int hidden) {
#pragma unroll
  for (int j = 0; j < V; j++) to[j] = lane_column(j) < hidden ? load8(row + lane_column(j)) : Float8{};
}

template <class T, int V>
__device__ __forceinline__ void store_zeros(T* row, int hidden) {
#pragma unroll
  for (int j = 0; j < V; j++)
    if (const int c = lane_column(j); c < hidden) store8(row + c, Float8{});
}

// ---- Forward --------------------------------------------------------------------------------------------------------
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

__device__ __forceinline__ Float8 normalise(const Float8& x, Statistics s, const float* gamma, const float* beta) {
  const Float8 g = load8(gamma), b = load8(beta);
  Float8 y;
#pragma unroll
  for (int i = 0; i < 8; i++) y[i] = (x[i] - s.mean) * s.rstd * g[i] + b[i];
  return y;
}

template <class T, int V, bool dropping>
__global__ void __launch_bounds__(32 * warps, 2)
    layer_norm_forward_kernel(T* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd,
                              const T* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
                              float epsilon, Mask mask, Rows rows, int hidden) {
  const int row = int(blockIdx.x) * warps + int(threadIdx.x) / 32;
  if (row >= rows.capacity) return;
  const size_t begin = size_t(row) * hidden;
  Statistics s = {};
  if (row >= *rows.count) {
    store_zeros<T, V>(y + begin, hidden);
  } else {
    Float8 a[V];
    load_row(a, x + begin, hidden);
    s = statistics(a, hidden, epsilon);
#pragma unroll
    for (int j = 0; j < V; j++) {
      const int c = lane_column(j);
      if (c >= hidden) continue;
      Float8 out = normalise(a[j], s, gamma + c, beta + c);
      if constexpr (dropping) out = drop(mask, begin + c, out);
      store8(y + begin + c, out);
    }
  }
  if (threadIdx.x % 32 == 0) mean[row] = s.mean, rstd[row] = s.rstd;
}

// x and h may be the same array: no __restrict__ on them.
template <class T, int V, bool dropping>
__global__ void __launch_bounds__(32 * warps, 2)
    add_dropout_norm_forward_kernel(T* __restrict__ y, T* h, float* __restrict__ mean, float* __restrict__ rstd,
                                    const T* x, const float* __restrict__ bias, const T* __restrict__ residual,
                                    const float* __restrict__ gamma, const float* __restrict__ beta, float epsilon,
                                    Mask mask, Rows rows, int hidden) {
  const int row = int(blockIdx.x) * warps + int(threadIdx.x) / 32;
  if (row >= rows.capacity) return;
  const size_t begin = size_t(row) * hidden;
  Statistics s = {};
  if (row >= *rows.count) {
    store_zeros<T, V>(h + begin, hidden);
    store_zeros<T, V>(y + begin, hidden);
  } else {
    Float8 a[V], r[V];
    load_row(a, x + begin, hidden);
    load_row(r, residual + begin, hidden);
#pragma unroll
    for (int j = 0; j < V; j++) {
      const Float8 b = load8(bias + load_column(j, hidden));
#pragma unroll
      for (int i = 0; i < 8; i++) a[j][i] += b[i];
      if constexpr (dropping) a[j] = drop(mask, begin + lane_column(j), a[j]);
#pragma unroll
      for (int i = 0; i < 8; i++)  // backward will read the rounded h, so that is what is normalised
        a[j][i] = to_float(from_float<T>(a[j][i] + r[j][i]));
      if (const int c = lane_column(j); c < hidden) store8(h + begin + c, a[j]);
    }
    s = statistics(a, hidden, epsilon);
#pragma unroll
    for (int j = 0; j < V; j++)
      if (const int c = lane_column(j); c < hidden) store8(y + begin + c, normalise(a[j], s, gamma + c, beta + c));
  }
  if (threadIdx.x % 32 == 0) mean[row] = s.mean, rstd[row] = s.rstd;
}

// ---- Backward -------------------------------------------------------------------------------------------------------
__device__ __forceinline__ int first_row() { return int(blockIdx.x) * rows_per_block + int(threadIdx.x) / 32 * 2; }

// The two rows of a warp in registers. The second may lie beyond the count: then it has g = 0 and so adds nothing.
template <int V>
struct TwoRows {
  Float8 xhat[2][V];  // x̂
  Float8 g[2][V];     // gradient of y = γ·x̂ + β
  float rstd[2];
  float mean_g[2];   // mean(γg)
  float mean_gx[2];  // mean(γg·x̂)
};

template <class T, int V, bool dropping>
__device__ __forceinline__ void load(TwoRows<V>& two, const T* dy, const T* x, const float* mean, const float* rstd,
                                     const float* gamma, const Mask& mask, int count, int hidden) {
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
      if constexpr (dropping) g = drop(mask, size_t(rows[k]) * hidden + lane_column(j), g);
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

// Vector j of row k of dx.
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
#pragma unroll
  for (int e = 0; e < 8; e++) out[e] += x[e];
  store8(to, out);
}

// What the warps of a block add to each column, in shared memory.
template <int Sums, int V>
using WarpSums = float[Sums][warps][256 * V];

// One vector of g·x̂ and of g, summed over the warp's rows.
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

// Of a warp without rows.
template <int Sums, int V>
__device__ __forceinline__ void put_zeros(WarpSums<Sums, V>& sums) {
#pragma unroll
  for (int s = 0; s < Sums; s++)
#pragma unroll
    for (int j = 0; j < V; j++) store8(&sums[s][threadIdx.x / 32][lane_column(j)], Float8{});
}

// Adds up the warps, in order, into the block's part of partials: [blocks, Sums, H].
template <int Sums, int V>
__device__ __forceinline__ void finish_block(float* partials, const WarpSums<Sums, V>& sums, int hidden) {
  __syncthreads();  // every warp's sums are there
#pragma unroll
  for (int s = 0; s < Sums; s++)
    for (int c = int(threadIdx.x); c < hidden; c += 32 * warps) {
      float sum = 0;
#pragma unroll
      for (int w = 0; w < warps; w++) sum += sums[s][w][c];
      partials[(size_t(blockIdx.x) * Sums + s) * hidden + c] = sum;
    }
}

template <class T, int V, bool dropping>
__global__ void __launch_bounds__(32 * warps, 2)
    layer_norm_backward_kernel(T* __restrict__ dx, bool accumulate, float* __restrict__ partials,
                               const T* __restrict__ dy, const T* __restrict__ x, const float* __restrict__ mean,
                               const float* __restrict__ rstd, const float* __restrict__ gamma, Mask mask, Rows rows,
                               int hidden) {
  auto& sums = shared<WarpSums<2, V>>();
  const int first = first_row(), count = *rows.count;
  if (first < count) {
    TwoRows<V> two;
    load<T, V, dropping>(two, dy, x, mean, rstd, gamma, mask, count, hidden);
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

// dx and dy may be the same array: no __restrict__ on them.
template <class T, int V, bool dropping>
__global__ void __launch_bounds__(32 * warps, 2)
    add_dropout_norm_backward_kernel(T* dx, T* __restrict__ dresidual, bool accumulate, float* __restrict__ partials,
                                     const T* dy, const T* __restrict__ h, const float* __restrict__ mean,
                                     const float* __restrict__ rstd, const float* __restrict__ gamma, Mask mask,
                                     Rows rows, int hidden) {
  auto& sums = shared<WarpSums<3, V>>();
  const int first = first_row(), count = *rows.count;
  if (first < count) {
    TwoRows<V> two;
    load<T, V, false>(two, dy, h, mean, rstd, gamma, mask, count, hidden);
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
        if constexpr (dropping) dh = drop(mask, i, dh);
        store8(dx + i, dh);
#pragma unroll
        for (int e = 0; e < 8; e++) bias_sum[e] += dh[e];
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

// ---- Launchers ------------------------------------------------------------------------------------------------------
Mask mask_of(const Dropout& d) { return {dropout_threshold(d.rate), 1.0f / (1.0f - d.rate), d.site, d.random}; }

// Calls f.operator()<V, dropping>() for the kernel that fits.
template <class F>
void choose(const char* name, Rows rows, int hidden, const Dropout& dropout, F f) {
  const auto refuse = [&](const std::string& what) {
    throw std::invalid_argument(std::string(name) + ": " + what + " for [" + std::to_string(rows.capacity) + ", " +
                                std::to_string(hidden) + "]");
  };
  if (hidden <= 0 || hidden % 8 || hidden > 1024) refuse("the hidden size must be a multiple of 8 up to 1024");
  if (rows.capacity < 0) refuse("negative capacity");
  if (!(dropout.rate >= 0 && dropout.rate < 1)) refuse("dropout rate " + std::to_string(dropout.rate));
  if (dropout.rate > 0 && !dropout.random) refuse("dropout without a random state");
  if (rows.capacity == 0) return;
  const auto with = [&]<int V>() {
    if (dropout.rate > 0) f.template operator()<V, true>();
    else f.template operator()<V, false>();
  };
  switch ((hidden + 255) / 256) {
    case 1:
      return with.template operator()<1>();
    case 2:
      return with.template operator()<2>();
    case 3:
      return with.template operator()<3>();
    case 4:
      return with.template operator()<4>();
  }
}

}  // namespace

int norm_blocks(int capacity) { return (capacity + rows_per_block - 1) / rows_per_block; }

template <class T>
void layer_norm_forward(Stream stream, T* y, float* mean, float* rstd, const T* x, const float* gamma,
                        const float* beta, float epsilon, Dropout dropout, Rows rows, int hidden) {
  choose("layer_norm_forward", rows, hidden, dropout, [&]<int V, bool dropping>() {
    launch<layer_norm_forward_kernel<T, V, dropping>>((rows.capacity + warps - 1) / warps, 32 * warps, 0, stream, y,
                                                      mean, rstd, x, gamma, beta, epsilon, mask_of(dropout), rows,
                                                      hidden);
  });
}

template <class T>
void layer_norm_backward(Stream stream, T* dx, bool accumulate, float* partials, const T* dy, const T* x,
                         const float* mean, const float* rstd, const float* gamma, Dropout dropout, Rows rows,
                         int hidden) {
  choose("layer_norm_backward", rows, hidden, dropout, [&]<int V, bool dropping>() {
    launch<layer_norm_backward_kernel<T, V, dropping>>(norm_blocks(rows.capacity), 32 * warps, 0, stream, dx,
                                                       accumulate, partials, dy, x, mean, rstd, gamma, mask_of(dropout),
                                                       rows, hidden);
  });
}

template <class T>
void add_dropout_norm_forward(Stream stream, T* y, T* h, float* mean, float* rstd, const T* x, const float* bias,
                              const T* residual, const float* gamma, const float* beta, float epsilon, Dropout dropout,
                              Rows rows, int hidden) {
  choose("add_dropout_norm_forward", rows, hidden, dropout, [&]<int V, bool dropping>() {
    launch<add_dropout_norm_forward_kernel<T, V, dropping>>((rows.capacity + warps - 1) / warps, 32 * warps, 0, stream,
                                                            y, h, mean, rstd, x, bias, residual, gamma, beta, epsilon,
                                                            mask_of(dropout), rows, hidden);
  });
}

template <class T>
void add_dropout_norm_backward(Stream stream, T* dx, T* dresidual, bool accumulate_residual, float* partials,
                               const T* dy, const T* h, const float* mean, const float* rstd, const float* gamma,
                               Dropout dropout, Rows rows, int hidden) {
  choose("add_dropout_norm_backward", rows, hidden, dropout, [&]<int V, bool dropping>() {
    launch<add_dropout_norm_backward_kernel<T, V, dropping>>(norm_blocks(rows.capacity), 32 * warps, 0, stream, dx,
                                                             dresidual, accumulate_residual, partials, dy, h, mean,
                                                             rstd, gamma, mask_of(dropout), rows, hidden);
  });
}

template decltype(layer_norm_forward<float>) layer_norm_forward<float>;
template decltype(layer_norm_forward<bf16>) layer_norm_forward<bf16>;
template decltype(layer_norm_backward<float>) layer_norm_backward<float>;
template decltype(layer_norm_backward<bf16>) layer_norm_backward<bf16>;
template decltype(add_dropout_norm_forward<float>) add_dropout_norm_forward<float>;
template decltype(add_dropout_norm_forward<bf16>) add_dropout_norm_forward<bf16>;
template decltype(add_dropout_norm_backward<float>) add_dropout_norm_backward<float>;
template decltype(add_dropout_norm_backward<bf16>) add_dropout_norm_backward<bf16>;

}  // namespace warpbert::kernels
