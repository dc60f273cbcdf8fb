// Attention forward moves 8·N·H bytes in bf16 and computes 4·L·N·H FLOP at length L. Latency dominates for
// short pairs: a block has up to 64 queries of a head and sequence, a warp 16. Scores stay in registers.
//
// Online softmax (Milakov & Gimelshein 2018): when a tile raises max, sum = Σ exp(s − max) and output are
// scaled by exp(old − new).
#include "attention.cuh"

namespace warpbert::kernels {

// A warp's 16 queries; `sum` covers this lane's keys.
template <int D>
struct OnlineSoftmax {
  float out[D / 8][4], max[2], sum[2];
};

// Processes keys [key0, key0 + keys) for 16 queries.
template <class T, int D, bool dropping>
__device__ __forceinline__ void attend(OnlineSoftmax<D>& softmax, const T* q, const T* k, const T* v,
                                       int query, int key0, int keys, const HeadDropout<dropping>& mask,
                                       float* scratch) {
  constexpr int chunks = max_tile<T, D> / 16;
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  float s[chunks][2][4];
  float row_max[2] = {softmax.max[0], softmax.max[1]};
#pragma unroll
  for (int c = 0; c < chunks; c++) {
    if (c * 16 < keys) {
      multiply<D>(s[c], q, k + c * 16 * tile_stride<T, D>);
#pragma unroll
      for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          s[c][n][i] = c * 16 + n * 8 + t * 2 + i % 2 < keys ? s[c][n][i] * score_scale<D> : -INFINITY;
          row_max[i / 2] = max(row_max[i / 2], s[c][n][i]);
        }
    }
  }
#pragma unroll
  for (int r = 0; r < 2; r++) {
    row_max[r] = warp_max<4>(row_max[r]);                               // four lanes share a row
    const float rescale = exponential<T>(softmax.max[r] - row_max[r]);  // 0 at the first tile
    softmax.max[r] = row_max[r];
    softmax.sum[r] *= rescale;
#pragma unroll
    for (int n = 0; n < D / 8; n++) softmax.out[n][r * 2] *= rescale, softmax.out[n][r * 2 + 1] *= rescale;
  }
#pragma unroll
  for (int c = 0; c < chunks; c++) {
    if (c * 16 < keys) {
#pragma unroll
      for (int n = 0; n < 2; n++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
          float &p0 = s[c][n][r * 2], &p1 = s[c][n][r * 2 + 1];
          p0 = exponential<T>(p0 - row_max[r]), p1 = exponential<T>(p1 - row_max[r]);
          softmax.sum[r] += p0 + p1;
          const float2 factors = mask.factors(query + g + r * 8, key0 + c * 16 + n * 8 + t * 2);
          p0 *= factors.x, p1 *= factors.y;
        }
      accumulate<D>(softmax.out, s[c], v + c * 16 * tile_stride<T, D>, scratch);
    }
  }
}

template <class T, int D, bool dropping>
static __global__ void __launch_bounds__(128)
    attention_forward_kernel(T* __restrict__ out, float* __restrict__ lse, const T* __restrict__ qkv,
                             const float* __restrict__ bias, const int* __restrict__ starts,
                             DropoutArgs dropout, int max_positions, Rows rows) {
  const int head = blockIdx.x, hidden = gridDim.x * D;
  lse += size_t(head) * rows.capacity;
  if (is_padding_block()) {
    if (blockIdx.z > 0) return;
    zero_padding<D>(out + head * D, hidden, rows);
    for (int i = *rows.count + threadIdx.x; i < rows.capacity; i += blockDim.x) lse[i] = 0;
    return;
  }
  const Place at = place(starts);
  if (at.start >= at.length) return;
  const int queries = min(at.tile, at.length - at.start), row0 = at.warp * 16;
  bias += head * D;

  T* q = dynamic_shared<T>();
  T* k = q + at.tile * tile_stride<T, D>;
  T* v = k + at.tile * tile_stride<T, D>;
  float* scratch = reinterpret_cast<float*>(v + at.tile * tile_stride<T, D>) + at.warp * scratch_floats;
  const HeadDropout<dropping> mask(dropout, max_positions, at);
  OnlineSoftmax<D> softmax = {{}, {-INFINITY, -INFINITY}, {0, 0}};

  copy_tile<D>(q, locate<D>(qkv, at, at.start, 0, 3), 3 * hidden, queries);
  for (int key0 = 0; key0 < at.length; key0 += at.tile) {
    const int keys = min(at.tile, at.length - key0);
    if (key0 > 0) __syncthreads();  // reads of the previous tile are done
    copy_tile<D>(k, locate<D>(qkv, at, key0, 1, 3), 3 * hidden, keys);
    copy_tile<D>(v, locate<D>(qkv, at, key0, 2, 3), 3 * hidden, keys);
    cp_async_commit();
    const Float8 q_bias = own_bias<D>(bias), k_bias = own_bias<D>(bias + hidden),
                 v_bias = own_bias<D>(bias + 2 * hidden);
    cp_async_wait<0>();
    if (key0 == 0) add_bias<D>(q, q_bias, queries);
    add_bias<D>(k, k_bias, keys);
    add_bias<D>(v, v_bias, keys);
    __syncthreads();  // tiles are complete
    if (row0 < queries)
      attend<T, D, dropping>(softmax, q + row0 * tile_stride<T, D>, k, v, at.start + row0, key0, keys, mask,
                             scratch);
  }
  if (row0 >= queries) return;

  const float sum[2] = {warp_sum<4>(softmax.sum[0]), warp_sum<4>(softmax.sum[1])};
  store_sum<D>(locate<D>(out, at, at.start + row0, 0, 1), hidden, queries - row0, softmax.out, 1 / sum[0],
               1 / sum[1]);
  if (threadIdx.x % 4 == 0) {
    lse += at.first + at.start + row0;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int r = threadIdx.x % 32 / 4 + i * 8;
      if (row0 + r < queries) lse[r] = softmax.max[i] + logarithm<T>(sum[i]);
    }
  }
}

void attention_forward(Stream stream, View out, const AttentionArgs& args) {
  check_attention("attention_forward", args, {out});
  if (out.rows.capacity == 0) return;
  with_attention(args, [&]<class T, int D, bool dropping>() {
    const Sequences& s = args.sequences;
    const int tile = attention_tile<T, D>(s.max_length), warps = tile / 16;
    const size_t scratch = sizeof(T) == 4 ? warps * scratch_floats * sizeof(float) : 0;
    const dim3 grid(args.heads, s.count + 1, std::max(1, (s.max_length + tile - 1) / tile));
    launch<attention_forward_kernel<T, D, dropping>>(
        grid, warps * 32, 3 * tile * tile_stride<T, D> * sizeof(T) + scratch, stream, out.as<T>(), args.lse,
        args.qkv.as<T>(), args.bias, s.starts, dropout_args(args.dropout), s.max_positions, args.qkv.rows);
  });
}

}  // namespace warpbert::kernels
