// Helpers of the LayerNorm kernels; see docs/kernels/layer_norm.md.
//
// A warp owns a row and reads it once, into registers. A lane holds V = ⌈H/256⌉ vectors of 8 adjacent values,
// one 16-byte access each in bf16.
#pragma once
#include <stdexcept>
#include <string>

#include "kernels.h"
#include "philox.h"
#include "vector.cuh"

namespace warpbert::kernels {
namespace norm {

constexpr int warps = 4;  // per block

struct RowDropout {
  uint32_t threshold;  // keep iff the random bits are >= this
  float scale;         // factor of kept values
  uint32_t site;
  const RandomState* random;
};

// Applies dropout to the eight values from `element`, a multiple of 8, on. The constructor loads the random
// state early, where nothing waits for it.
template <bool dropping>
class DropoutMask {
 public:
  __device__ __forceinline__ explicit DropoutMask(const RowDropout& dropout) : dropout_(dropout) {
    if constexpr (dropping) state_ = *dropout.random;
  }
  __device__ __forceinline__ Float8 operator()(uint64_t element, Float8 x) const {
    if constexpr (dropping) {
      const Random4 draw = random4(state_.seed, state_.pass, dropout_.site, element / 8);
#pragma unroll
      for (int i = 0; i < 8; i++)
        x[i] = dropout_bits(draw.v[i / 2], i) >= dropout_.threshold ? x[i] * dropout_.scale : 0.0f;
    }
    return x;
  }

 private:
  RowDropout dropout_;
  RandomState state_;
};

// First column of this lane's vector j. Past the row's end, load_column gives the last vector, whose gains
// and biases are ignored: a branch would delay the next load. A lane reads only what it owns of the row
// itself, because in-place use overwrites it.
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

// ---- Launchers --------------------------------------------------------------------------------------------
inline RowDropout row_dropout(const Dropout& d) {
  return {dropout_threshold(d.rate), dropout_scale(d.rate), d.site, d.random};
}

// Checks the arguments and calls f.operator()<V, dropping>().
template <class F>
void choose(const char* name, Rows rows, int hidden, const Dropout& dropout, F f) {
  const auto refuse = [&](const std::string& what) {
    throw std::invalid_argument(std::string(name) + ": " + what + " for [" + std::to_string(rows.capacity) +
                                ", " + std::to_string(hidden) + "]");
  };
  if (hidden <= 0 || hidden % 8 || hidden > 1024)
    refuse("the hidden size must be a multiple of 8 up to 1024");
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

}  // namespace norm
}  // namespace warpbert::kernels
