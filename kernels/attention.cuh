#pragma once
#include <algorithm>
#include <initializer_list>

#include "attention_tile.cuh"
#include "dropout.cuh"
#include "launch.h"
#include "vector.cuh"

namespace warpbert::kernels {

// ---- Block mapping ----------------------------------------------------------------------------------------
// grid = (heads, sequences + 1, tiles); a warp owns 16 rows. Blocks with the last y write padding rows; the
// query kernel has none.

// Largest tile: backward's operands and ds fit in the 99 KB of shared memory of sm_86.
template <class T, int D>
constexpr int max_tile = sizeof(T) == 4 && D == 128 ? 32 : 64;

struct Place {
  int head, heads;    // hidden = heads·D
  int first, length;  // rows first … first + length
  int tile, start;    // rows per tile; the block's first row in the sequence
  int warp;
};

__device__ __forceinline__ Place place(const int* starts) {
  const int tile = blockDim.x / 2, first = starts[blockIdx.y];
  return {.head = int(blockIdx.x),
          .heads = int(gridDim.x),
          .first = first,
          .length = starts[blockIdx.y + 1] - first,
          .tile = tile,
          .start = int(blockIdx.z) * tile,
          .warp = int(threadIdx.x / 32)};
}

// Row of the sequence in x: [N, parts·H], at the head's first column of `part`.
template <int D, class T>
__device__ __forceinline__ T* locate(T* x, const Place& at, int row, int part, int parts) {
  return x + ((size_t(at.first + row) * parts + part) * at.heads + at.head) * D;
}

__device__ __forceinline__ bool is_padding_block() { return blockIdx.y == gridDim.y - 1; }

template <int D, class T>
__device__ __forceinline__ void zero_padding(T* x, int ld, Rows rows) {
  const int end = rows.capacity * (D / 8);
  for (int i = *rows.count * (D / 8) + threadIdx.x; i < end; i += blockDim.x)
    store8(x + size_t(i / (D / 8)) * ld + i % (D / 8) * 8, Float8{});
}

// ---- Tiles ------------------------------------------------------------------------------------------------
__device__ __forceinline__ int round_up_16(int n) { return (n + 15) / 16 * 16; }

// Calls f(row, column) for the thread's D/16 pieces of eight columns; two threads per row.
template <int D, class F>
__device__ __forceinline__ void own_pieces(F f) {
  const int step = blockDim.x / (D / 8), first = threadIdx.x / (D / 8), column = threadIdx.x % (D / 8) * 8;
#pragma unroll(D > 64 ? 4 : D / 16)  // full unrolling takes registers the sums need
  for (int k = 0; k < D / 16; k++) f(first + k * step, column);
}

// Copies `count` rows of x; zeroes rows up to a multiple of 16.
template <int D, class T>
__device__ __forceinline__ void copy_tile(T* tile, const T* x, int ld, int count) {
  const int end = round_up_16(count);
  own_pieces<D>([&](int row, int column) {
    T* to = tile + row * tile_stride<T, D> + column;
    const T* from = x + size_t(row) * ld + column;
    if (row < count) {
      cp_async16(to, from);
      if constexpr (sizeof(T) == 4) cp_async16(to + 4, from + 4);
    } else if (row < end) {
      store8(to, Float8{});
    }
  });
}

// Bias of this thread's columns. ptxas 13.0 moves these loads after the wait.
template <int D>
__device__ __forceinline__ Float8 own_bias(const float* bias) {
  return load8(bias + threadIdx.x % (D / 8) * 8);
}

// Adds the bias to this thread's pieces: no barrier is needed before.
template <int D, class T>
__device__ __forceinline__ void add_bias(T* tile, const Float8& b, int count) {
  own_pieces<D>([&](int row, int column) {
    if (row >= count) return;
    T* p = tile + row * tile_stride<T, D> + column;
    Float8 x = load8(p);
    x += b;
    store8(p, x);
  });
}

// Writes the first `count` of 16 rows, times scale0 (rows 0 … 7) or scale1 (8 … 15).
template <int D, class T>
__device__ __forceinline__ void store_sum(T* x, int ld, int count, const float (&acc)[D / 8][4], float scale0,
                                          float scale1) {
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int r = threadIdx.x % 32 / 4 + i * 8;
    const float scale = i ? scale1 : scale0;
    if (r >= count) continue;
#pragma unroll
    for (int n = 0; n < D / 8; n++)
      store_pair(x + size_t(r) * ld + sum_column<T>(n), acc[n][i * 2] * scale, acc[n][i * 2 + 1] * scale);
  }
}

template <int D>
constexpr float score_scale = D == 16   ? 0.25f
                              : D == 32 ? 0.17677669530f
                              : D == 64 ? 0.125f
                                        : 0.08838834765f;

// Fast functions for bf16, accurate ones for float.
template <class T>
__device__ __forceinline__ float exponential(float x) {
  return sizeof(T) == 2 ? fast_exp(x) : expf(x);
}
template <class T>
__device__ __forceinline__ float logarithm(float x) {
  return sizeof(T) == 2 ? __logf(x) : logf(x);
}

// ---- Dropout ----------------------------------------------------------------------------------------------
template <bool dropping>
class HeadDropout {
 public:
  __device__ __forceinline__ HeadDropout(const DropoutArgs& dropout, int max_positions, const Place& at)
      : mask_(dropout),
        max_positions_(max_positions),
        heads_(at.heads),
        head_(at.head),
        first_(at.first + mask_.first_row()) {}

  __device__ __forceinline__ uint32_t keeps(int query, int key) const {
    return mask_.keeps(element(query, key));
  }
  __device__ __forceinline__ float factor(uint32_t kept) const { return mask_.factor(kept); }
  __device__ __forceinline__ float2 factors(int query, int key) const {
    return mask_.factors(element(query, key));
  }

 private:
  __device__ __forceinline__ uint64_t element(int query, int key) const {
    return (uint64_t(first_ + query) * heads_ + head_) * max_positions_ + key;
  }

  DropoutMask<dropping> mask_;
  int max_positions_, heads_, head_, first_;
};

// ---- Launchers --------------------------------------------------------------------------------------------
inline int head_size(const AttentionArgs& args) {
  return args.heads > 0 && args.qkv.cols % (3 * args.heads) == 0 ? args.qkv.cols / (3 * args.heads) : 0;
}

// `others`: [N, H].
inline void check_attention(const char* launcher, const AttentionArgs& args,
                            std::initializer_list<View> others) {
  const Sequences& s = args.sequences;
  const int size = head_size(args);
  const auto refuse_shape = [&](const auto&... why) {
    refuse(launcher, why..., " (qkv ", shape(args.qkv), ", heads ", args.heads, ", sequences ", s.count,
           ", max_length ", s.max_length, ", max_positions ", s.max_positions, ")");
  };
  if (args.heads < 1) refuse_shape("no heads");
  if (size != 16 && size != 32 && size != 64 && size != 128)
    refuse_shape("head_size must be 16, 32, 64 or 128");
  if (s.max_length < 0 || s.max_length > max_attention_length)
    refuse_shape("max_length must be at most ", max_attention_length);
  if (s.max_length > s.max_positions) refuse_shape("max_length exceeds max_positions");
  if (s.count < 0 || s.count > 65534) refuse_shape("sequences must be at most 65534");
  if (args.qkv.rows.capacity < 0) refuse_shape("negative capacity");
  check_dropout(launcher, args.dropout);
  View one = args.qkv;  // a third of its columns
  one.cols = one.ld = args.heads * size;
  check_views(launcher, one, others);
}

// Rows per tile, a multiple of 16.
template <class T, int D>
int attention_tile(int max_length) {
  return std::clamp((max_length + 15) / 16 * 16, 16, max_tile<T, D>);
}

template <class F>
void with_attention(const AttentionArgs& args, F f) {
  with_one_of<16, 32, 64, 128>(head_size(args), [&]<int D>() {
    with_dtype(args.qkv.dtype, [&]<class T>() {
      if (args.dropout.rate > 0) f.template operator()<T, D, true>();
      else f.template operator()<T, D, false>();
    });
  });
}

}  // namespace warpbert::kernels
