// Attention backward moves 16·N·H bytes in bf16 and computes 10·L·N·H FLOP at length L. f: dropout factor, 0
// or 1/(1−rate); pd = f·p; Δ = Σ_j p_j·dp_j = Σ_d dout·out (Dao et al. 2022, "FlashAttention", appendix B.2).
//
// A block owns up to 64 keys, a warp 16. Transposed scores k·qᵀ, 16 × 16, stay in registers as left operands
// of pdᵀ·dout and dsᵀ·q. For dq, warps stage ds in shared memory, then each takes 16 queries. Longer
// sequences recompute ds in a second kernel, 7 products instead of 5, to avoid atomics.
#include "attention.cuh"

namespace warpbert::kernels {

struct RowStatistics {
  float delta[64], lse[64];
};

// Loads lse and computes Δ, D / 8 lanes per row. Padding rows get zeros; as dout is zero,
// too, they add nothing.
template <class T, int D>
__device__ __forceinline__ void load_statistics(RowStatistics& rows, const T* dout, const T* out, int hidden,
                                                const float* lse, int count) {
  constexpr int lanes = D / 8;
  const int c = threadIdx.x % lanes * 8;
  for (int r = threadIdx.x / lanes; r < round_up_16(count); r += blockDim.x / lanes) {
    float delta = 0;
    const float row_lse = c == 0 && r < count ? lse[r] : 0;  // early, to overlap with the sums
    if (r < count) {
      const Float8 a = load8(dout + size_t(r) * hidden + c), b = load8(out + size_t(r) * hidden + c);
#pragma unroll
      for (int i = 0; i < 8; i++) delta += a[i] * b[i];
    }
    delta = warp_sum<lanes>(delta);
    if (c == 0) rows.delta[r] = delta, rows.lse[r] = row_lse;
  }
}

template <class T>
struct Tiles {
  T *q, *k, *v, *dout;
};

template <class T, int D>
__device__ __forceinline__ Tiles<T> tiles(int rows) {
  T* p = dynamic_shared<T>();
  const int size = rows * tile_stride<T, D>;
  return {p, p + size, p + 2 * size, p + 3 * size};
}

// Row stride of ds, [key][query].
template <class T, int D>
constexpr int staged_stride = max_tile<T, D> + 16 / int(sizeof(T));

// Adds 16 queries' terms to dk and dv; stores dsᵀ in `staged` unless null. k, v: the warp's rows; q, dout,
// rows: the queries'.
template <class T, int D, bool dropping>
__device__ __forceinline__ void add_queries(float (&dk)[D / 8][4], float (&dv)[D / 8][4],
                                            const Tiles<T>& tile, const RowStatistics& rows, int row,
                                            int query, int key, int keys, const HeadDropout<dropping>& mask,
                                            float* scratch, T* staged) {
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  uint32_t kept = 0;  // drawn before p and ds need the registers
#pragma unroll
  for (int i = 0; i < 8; i++)
    kept |= mask.keeps(query + i / 4 * 8 + t * 2 + i % 2, key + g + i / 2 % 2 * 8) << i;

  float p[2][4], ds[2][4];
  multiply<D>(p, tile.k, tile.q + row * tile_stride<T, D>);
  multiply<D>(ds, tile.v, tile.dout + row * tile_stride<T, D>);
#pragma unroll
  for (int n = 0; n < 2; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int j = n * 8 + t * 2 + i % 2, r = g + i / 2 * 8;
      const float f = mask.factor(kept >> (n * 4 + i) & 1);
      const float prob = r < keys ? exponential<T>(p[n][i] * score_scale<D> - rows.lse[row + j]) : 0;
      ds[n][i] = prob * (f * ds[n][i] - rows.delta[row + j]);
      p[n][i] = f * prob;
    }
  accumulate<D>(dv, p, tile.dout + row * tile_stride<T, D>, scratch);
  accumulate<D>(dk, ds, tile.q + row * tile_stride<T, D>, scratch);
  if (staged) {
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
      for (int i = 0; i < 2; i++)
        store_pair(staged + (g + i * 8) * staged_stride<T, D> + row + n * 8 + t * 2, ds[n][i * 2],
                   ds[n][i * 2 + 1]);
  }
}

// dq of 16 queries from row0 on.
template <class T, int D>
__device__ __forceinline__ void store_staged_dq(T* to, int ld, const T* staged, const T* k, int row0,
                                                int length) {
  float dq[D / 8][4] = {};
  for (int key = 0; key < length; key += 16)
    accumulate_transposed<D>(dq, staged + key * staged_stride<T, D> + row0, staged_stride<T, D>,
                             k + key * tile_stride<T, D>);
  store_sum<D>(to, ld, length - row0, dq, score_scale<D>, score_scale<D>);
}

template <class T, int D, bool dropping>
static __global__ void __launch_bounds__(128, 2)
    attention_backward_kernel(T* __restrict__ dqkv, const T* __restrict__ dout, const T* __restrict__ out,
                              const float* __restrict__ lse, const T* __restrict__ qkv,
                              const float* __restrict__ bias, const int* __restrict__ starts,
                              DropoutArgs dropout, int max_positions, Rows rows) {
  const int head = blockIdx.x, hidden = gridDim.x * D;
  if (is_padding_block()) {
    if (blockIdx.z == 0)
      for (int part = 0; part < 3; part++) zero_padding<D>(dqkv + part * hidden + head * D, 3 * hidden, rows);
    return;
  }
  const Place at = place(starts);
  if (at.start >= at.length) return;
  const int keys = min(at.tile, at.length - at.start), row0 = at.warp * 16;
  const bool whole = at.length <= at.tile;  // dq is computed here too
  bias += head * D, lse += size_t(head) * rows.capacity + at.first;

  constexpr int stride = tile_stride<T, D>;
  const Tiles<T> tile = tiles<T, D>(at.tile);
  const Tiles<T> mine = {tile.q, tile.k + row0 * stride, tile.v + row0 * stride, tile.dout};
  T* staged = tile.dout + at.tile * stride;
  float* scratch =
      reinterpret_cast<float*>(staged + at.tile * staged_stride<T, D>) + at.warp * scratch_floats;
  auto& statistics = shared<RowStatistics>();
  const HeadDropout<dropping> mask(dropout, max_positions, at);
  float dk[D / 8][4] = {}, dv[D / 8][4] = {};

  copy_tile<D>(tile.k, locate<D>(qkv, at, at.start, 1, 3), 3 * hidden, keys);
  copy_tile<D>(tile.v, locate<D>(qkv, at, at.start, 2, 3), 3 * hidden, keys);
  for (int query0 = 0; query0 < at.length; query0 += at.tile) {
    const int queries = min(at.tile, at.length - query0);
    const T* dout_rows = locate<D>(dout, at, query0, 0, 1);
    if (query0 > 0) __syncthreads();  // reads of the previous tile are done
    copy_tile<D>(tile.q, locate<D>(qkv, at, query0, 0, 3), 3 * hidden, queries);
    copy_tile<D>(tile.dout, dout_rows, hidden, queries);
    cp_async_commit();
    load_statistics<T, D>(statistics, dout_rows, locate<D>(out, at, query0, 0, 1), hidden, lse + query0,
                          queries);
    const Float8 q_bias = own_bias<D>(bias), k_bias = own_bias<D>(bias + hidden),
                 v_bias = own_bias<D>(bias + 2 * hidden);
    cp_async_wait<0>();
    if (query0 == 0) add_bias<D>(tile.k, k_bias, keys), add_bias<D>(tile.v, v_bias, keys);
    add_bias<D>(tile.q, q_bias, queries);
    __syncthreads();  // tiles and statistics are complete
    for (int row = 0; row < queries && row0 < keys; row += 16)
      add_queries<T, D, dropping>(dk, dv, mine, statistics, row, query0 + row, at.start + row0, keys - row0,
                                  mask, scratch, whole ? staged + row0 * staged_stride<T, D> : nullptr);
  }
  if (row0 < keys) {
    const int row = at.start + row0;
    store_sum<D>(locate<D>(dqkv, at, row, 1, 3), 3 * hidden, keys - row0, dk, score_scale<D>, score_scale<D>);
    store_sum<D>(locate<D>(dqkv, at, row, 2, 3), 3 * hidden, keys - row0, dv, 1, 1);
  }
  if (whole) {
    __syncthreads();  // ds is complete
    if (row0 < keys)
      store_staged_dq<T, D>(locate<D>(dqkv, at, row0, 0, 3), 3 * hidden, staged, tile.k, row0, keys);
  }
}

// Adds 16 keys' terms to dq. q, dout: the warp's rows; k, v: the keys'.
template <class T, int D, bool dropping>
__device__ __forceinline__ void add_keys(float (&dq)[D / 8][4], const Tiles<T>& tile,
                                         const RowStatistics& rows, int row0, int query, int key, int keys,
                                         const HeadDropout<dropping>& mask, float* scratch) {
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  float s[2][4], ds[2][4];
  multiply<D>(s, tile.q, tile.k);
  multiply<D>(ds, tile.dout, tile.v);
#pragma unroll
  for (int n = 0; n < 2; n++)
#pragma unroll
    for (int r = 0; r < 2; r++) {
      const int row = row0 + g + r * 8, column = n * 8 + t * 2;
      const float2 factors = mask.factors(query + g + r * 8, key + column);
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int j = r * 2 + i;
        const float p = column + i < keys ? exponential<T>(s[n][j] * score_scale<D> - rows.lse[row]) : 0;
        ds[n][j] = p * ((i ? factors.y : factors.x) * ds[n][j] - rows.delta[row]);
      }
    }
  accumulate<D>(dq, ds, tile.k, scratch);
}

// dq of sequences longer than a tile.
template <class T, int D, bool dropping>
static __global__ void __launch_bounds__(128, 2)
    attention_backward_query_kernel(T* __restrict__ dqkv, const T* __restrict__ dout,
                                    const T* __restrict__ out, const float* __restrict__ lse,
                                    const T* __restrict__ qkv, const float* __restrict__ bias,
                                    const int* __restrict__ starts, DropoutArgs dropout, int max_positions,
                                    Rows rows) {
  const int head = blockIdx.x, hidden = gridDim.x * D;
  const Place at = place(starts);
  if (at.length <= at.tile || at.start >= at.length) return;
  const int queries = min(at.tile, at.length - at.start), row0 = at.warp * 16;
  bias += head * D, lse += size_t(head) * rows.capacity + at.first;

  constexpr int stride = tile_stride<T, D>;
  const Tiles<T> tile = tiles<T, D>(at.tile);
  float* scratch = reinterpret_cast<float*>(tile.dout + at.tile * stride) + at.warp * scratch_floats;
  auto& statistics = shared<RowStatistics>();
  const HeadDropout<dropping> mask(dropout, max_positions, at);
  float dq[D / 8][4] = {};

  const T* dout_rows = locate<D>(dout, at, at.start, 0, 1);
  copy_tile<D>(tile.q, locate<D>(qkv, at, at.start, 0, 3), 3 * hidden, queries);
  copy_tile<D>(tile.dout, dout_rows, hidden, queries);
  load_statistics<T, D>(statistics, dout_rows, locate<D>(out, at, at.start, 0, 1), hidden, lse + at.start,
                        queries);
  for (int key0 = 0; key0 < at.length; key0 += at.tile) {
    const int keys = min(at.tile, at.length - key0);
    if (key0 > 0) __syncthreads();  // reads of the previous tile are done
    copy_tile<D>(tile.k, locate<D>(qkv, at, key0, 1, 3), 3 * hidden, keys);
    copy_tile<D>(tile.v, locate<D>(qkv, at, key0, 2, 3), 3 * hidden, keys);
    cp_async_commit();
    const Float8 q_bias = own_bias<D>(bias), k_bias = own_bias<D>(bias + hidden),
                 v_bias = own_bias<D>(bias + 2 * hidden);
    cp_async_wait<0>();
    if (key0 == 0) add_bias<D>(tile.q, q_bias, queries);
    add_bias<D>(tile.k, k_bias, keys);
    add_bias<D>(tile.v, v_bias, keys);
    __syncthreads();  // tiles and statistics are complete
    for (int key = 0; key < keys && row0 < queries; key += 16) {
      const Tiles<T> mine = {tile.q + row0 * stride, tile.k + key * stride, tile.v + key * stride,
                             tile.dout + row0 * stride};
      add_keys<T, D, dropping>(dq, mine, statistics, row0, at.start + row0, key0 + key, keys - key, mask,
                               scratch);
    }
  }
  if (row0 < queries)
    store_sum<D>(locate<D>(dqkv, at, at.start + row0, 0, 3), 3 * hidden, queries - row0, dq, score_scale<D>,
                 score_scale<D>);
}

void attention_backward(Stream stream, View dqkv, View dout, View out, const AttentionArgs& args) {
  check_attention("attention_backward", args, {dout, out});
  check_views("attention_backward", args.qkv, {dqkv});
  if (out.rows.capacity == 0) return;
  with_attention(args, [&]<class T, int D, bool dropping>() {
    const Sequences& s = args.sequences;
    const int tile = attention_tile<T, D>(s.max_length), warps = tile / 16,
              count = std::max(1, (s.max_length + tile - 1) / tile);
    const size_t operands = 4 * tile * tile_stride<T, D> * sizeof(T),
                 staged = tile * staged_stride<T, D> * sizeof(T);
    const size_t scratch = sizeof(T) == 4 ? warps * scratch_floats * sizeof(float) : 0;
    const auto launch_tiles = [&]<auto kernel>(int sequences, size_t shared) {
      launch<kernel>(dim3(args.heads, sequences, count), warps * 32, shared, stream, dqkv.as<T>(),
                     dout.as<T>(), out.as<T>(), args.lse, args.qkv.as<T>(), args.bias, s.starts,
                     dropout_args(args.dropout), s.max_positions, args.qkv.rows);
    };
    launch_tiles.template operator()<attention_backward_kernel<T, D, dropping>>(s.count + 1,
                                                                                operands + staged + scratch);
    if (count > 1 && s.count > 0)
      launch_tiles.template operator()<attention_backward_query_kernel<T, D, dropping>>(s.count,
                                                                                        operands + scratch);
  });
}

}  // namespace warpbert::kernels
