// What layer_norm_forward.cu and layer_norm_backward.cu share: a lane's part of a row, dropout, and the launchers' checks.
//
// LayerNorm (Ba et al. 2016), alone and as the step around each sublayer:
//   mean = Σ x/H,  rstd = 1/√(Σ (x − mean)²/H + ε),  x̂ = (x − mean)·rstd,  y = γ·x̂ + β             x, y: [N, H]
//
// A row is read once and stays in registers: a warp has a row, a lane V vectors of 8 neighbours (one 16-byte access each
// in bf16), V = ⌈H/256⌉.
#pragma once
#include <stdexcept>
#include <string>

#include "kernels.h"
#include "philox.h"
#include "vector.cuh"

namespace warpbert::kernels {
namespace norm {

constexpr int warps = 4;  // of every block here

// A Dropout as the kernels here want it.
struct RowDropout {
  uint32_t threshold;  // a value is kept iff its random bits are at least this …
  float scale;         // … and then multiplied by this
  uint32_t site;
  const RandomState* random;
};

// The dropout of eight neighbours; `element` is the number of the first, a multiple of 8. The random state is loaded
// once, at the beginning, where nothing waits for it.
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

// ---- Launchers ------------------------------------------------------------------------------------------------------
inline RowDropout row_dropout(const Dropout& d) {
  return {dropout_threshold(d.rate), dropout_scale(d.rate), d.site, d.random};
}

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

}  // namespace norm
}  // namespace warpbert::kernels
