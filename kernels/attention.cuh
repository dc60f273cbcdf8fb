// Helpers of the attention kernels.
#pragma once
#include <algorithm>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "attention_tile.cuh"
#include "kernels.h"
#include "philox.h"
#include "vector.cuh"

namespace warpbert::kernels {

// ---- Block mapping ----------------------------------------------------------------------------------------
// grid = (heads, sequences + 1, tiles). A warp owns 16 rows of a sequence, a block 16 per warp: its tile.
// Blocks with the last y write padding rows; attention_backward_query_kernel has none.

// Largest tile. Backward's four operands and ds then fit in the 99 KB of shared memory of sm_86.
template <class T, int D>
constexpr int max_tile = sizeof(T) == 4 && D == 128 ? 32 : 64;

struct Place {
  int head, heads;    // hidden = heads·D
  int first, length;  // rows of the sequence: first … first + length
  int tile, start;    // rows per tile; the block's first row within the sequence
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

// Address of a row of the block's sequence in x: [N, parts·H], first column of its head in `part`.
template <int D, class T>
__device__ __forceinline__ T* locate(T* x, const Place& at, int row, int part, int parts) {
  return x + ((size_t(at.first + row) * parts + part) * at.heads + at.head) * D;
}

__device__ __forceinline__ bool is_filler_block() { return blockIdx.y == gridDim.y - 1; }

// Zeroes D columns of the padding rows.
template <int D, class T>
__device__ __forceinline__ void zero_filler(T* x, int ld, Rows rows) {
  const int end = rows.capacity * (D / 8);
  for (int i = *rows.count * (D / 8) + threadIdx.x; i < end; i += blockDim.x)
    store8(x + size_t(i / (D / 8)) * ld + i % (D / 8) * 8, Float8{});
}

// ---- Tiles ------------------------------------------------------------------------------------------------
__device__ __forceinline__ int round_up_16(int n) { return (n + 15) / 16 * 16; }

// Calls f(row, first column) for the thread's D/16 pieces of eight columns; a block has two threads per row.
template <int D, class F>
__device__ __forceinline__ void own_pieces(F f) {
  const int step = blockDim.x / (D / 8), first = threadIdx.x / (D / 8), column = threadIdx.x % (D / 8) * 8;
#pragma unroll(D > 64 ? 4 : D / 16)  // full unrolling takes registers the sums need
  for (int k = 0; k < D / 16; k++) f(first + k * step, column);
}

// Starts copying `count` rows of x to a tile; zeroes rows up to the next multiple of 16.
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

// Bias of the columns this thread copies. Kernels load it before waiting for the copies, but ptxas (CUDA
// 13.0) moves these loads after the wait.
template <int D>
__device__ __forceinline__ Float8 own_bias(const float* bias) {
  return load8(bias + threadIdx.x % (D / 8) * 8);
}

// Adds the bias to the pieces this thread copied, so it need not wait for other threads.
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

// Writes the first `count` of this warp's 16 rows to x, times scale0 (rows 0 … 7) or scale1 (8 … 15).
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

// bf16 takes the fast functions; float, which claims exactness, the accurate ones.
template <class T>
__device__ __forceinline__ float exponential(float x) {
  return sizeof(T) == 2 ? fast_exp(x) : expf(x);
}
template <class T>
__device__ __forceinline__ float logarithm(float x) {
  return sizeof(T) == 2 ? __logf(x) : logf(x);
}

// ---- Dropout ----------------------------------------------------------------------------------------------
struct AttentionDropout {
  const RandomState* random;
  uint32_t site, threshold;
  float scale;  // factor of kept values
  int max_positions;
};

// Dropout factors of one head: 0 or `scale`; always 1 when off.
template <bool dropping>
class DropoutMask {
 public:
  __device__ __forceinline__ DropoutMask(const AttentionDropout& dropout, const Place& at)
      : dropout_(dropout), at_(at) {
    if constexpr (dropping) state_ = *dropout.random;
  }

  __device__ __forceinline__ uint32_t keeps(int query, int key) const {  // 0 or 1
    if constexpr (!dropping) return 1;
    const uint64_t i = element(query, key);
    return bits(draw(i), i) >= dropout_.threshold;
  }
  __device__ __forceinline__ float factor(uint32_t kept) const {
    return !dropping ? 1 : kept ? dropout_.scale : 0;
  }

  // Factors of key and key + 1, which mostly share a draw.
  __device__ __forceinline__ float2 factors(int query, int key) const {
    if constexpr (!dropping) return make_float2(1, 1);
    const uint64_t i = element(query, key);
    const Random4 r = draw(i);
    const uint32_t next = bits(i % 8 == 7 ? draw(i + 1) : r, i + 1);
    return make_float2(factor(bits(r, i) >= dropout_.threshold), factor(next >= dropout_.threshold));
  }

 private:
  __device__ __forceinline__ uint64_t element(int query, int key) const {
    return (uint64_t(at_.first + query) * at_.heads + at_.head) * dropout_.max_positions + key;
  }
  __device__ __forceinline__ Random4 draw(uint64_t i) const {
    return random4(state_.seed, state_.pass, dropout_.site, i >> 3);
  }
  __device__ static __forceinline__ uint32_t bits(const Random4& r, uint64_t i) {
    const uint32_t low = i & 2 ? r.v[1] : r.v[0], high = i & 2 ? r.v[3] : r.v[2];
    return dropout_bits(i & 4 ? high : low, uint32_t(i));
  }

  AttentionDropout dropout_;
  Place at_;
  RandomState state_;
};

// ---- Launchers --------------------------------------------------------------------------------------------
struct AttentionShape {
  int sequences, max_length, heads, head_size, max_positions;
};

inline void check_attention(const char* launcher, const AttentionShape& s, const Dropout& dropout,
                            Rows rows) {
  const auto refuse = [&](const std::string& why) {
    throw std::invalid_argument(
        std::string(launcher) + ": " + why + " (sequences " + std::to_string(s.sequences) + ", max_length " +
        std::to_string(s.max_length) + ", heads " + std::to_string(s.heads) + ", head_size " +
        std::to_string(s.head_size) + ", max_positions " + std::to_string(s.max_positions) + ", capacity " +
        std::to_string(rows.capacity) + ")");
  };
  if (s.head_size != 16 && s.head_size != 32 && s.head_size != 64 && s.head_size != 128)
    refuse("head_size must be 16, 32, 64 or 128");
  if (s.heads < 1) refuse("no heads");
  if (s.max_length < 0 || s.max_length > max_attention_length)
    refuse("max_length must be at most " + std::to_string(max_attention_length));
  if (s.max_length > s.max_positions) refuse("max_length exceeds max_positions");
  if (s.sequences < 0 || s.sequences > 65534) refuse("sequences must be at most 65534");
  if (rows.capacity < 0) refuse("negative capacity");
  if (!(dropout.rate >= 0 && dropout.rate < 1)) refuse("dropout rate must lie in [0, 1)");
  if (dropout.rate > 0 && !dropout.random) refuse("dropout needs a random state");
}

inline AttentionDropout attention_dropout(const Dropout& dropout, int max_positions) {
  return {dropout.random, dropout.site, dropout_threshold(dropout.rate), dropout_scale(dropout.rate),
          max_positions};
}

// Rows per tile: a multiple of 16 that covers max_length, at most max_tile.
template <class T, int D>
int attention_tile(int max_length) {
  return std::clamp((max_length + 15) / 16 * 16, 16, max_tile<T, D>);
}

// Calls f(D, dropping) with integral constants.
template <class F>
void with_head_size(int head_size, bool dropout, F f) {
  const auto with = [&](auto d) { dropout ? f(d, std::true_type{}) : f(d, std::false_type{}); };
  if (head_size == 16) with(std::integral_constant<int, 16>{});
  if (head_size == 32) with(std::integral_constant<int, 32>{});
  if (head_size == 64) with(std::integral_constant<int, 64>{});
  if (head_size == 128) with(std::integral_constant<int, 128>{});
}

}  // namespace warpbert::kernels
