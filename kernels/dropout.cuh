// Dropout in kernels: keep factors of elements, by Philox (philox.h).
#pragma once
#include "launch.h"
#include "philox.h"
#include "vector.cuh"

namespace warpbert::kernels {

struct DropoutArgs {
  const RandomState* random;
  uint32_t site, threshold;  // keeps an element iff its 16 random bits are >= threshold
  float scale;               // factor of kept elements
};

inline DropoutArgs dropout_args(const Dropout& d) {
  return {d.random, d.site, dropout_threshold(d.rate), dropout_scale(d.rate)};
}

inline void check_dropout(const char* launcher, const Dropout& dropout) {
  if (!(dropout.rate >= 0 && dropout.rate < 1))
    refuse(launcher, "dropout rate " + std::to_string(dropout.rate) + " is outside [0, 1)");
  if (dropout.rate > 0 && !dropout.random) refuse(launcher, "dropout needs a random state");
}

// The constructor loads the random state early, where nothing waits for it. Elements count from this batch's first
// row, of `columns`, a multiple of 8; with columns = 0, from the step's. Without `dropping` all factors are 1.
template <bool dropping>
class DropoutMask {
 public:
  __device__ __forceinline__ DropoutMask(const DropoutArgs& dropout, int columns) : dropout_(dropout) {
    if constexpr (!dropping) return;
    state_ = *dropout.random;
    first_ = uint64_t(state_.first_row) * columns;
  }

  // Applies dropout to the eight values from `element`, a multiple of 8, on.
  __device__ __forceinline__ Float8 operator()(uint64_t element, Float8 x) const {
    if constexpr (dropping) {
      const Random4 r = draw(element);
#pragma unroll
      for (int i = 0; i < 8; i++)
        x[i] = dropout_bits(r.v[i / 2], i) >= dropout_.threshold ? x[i] * dropout_.scale : 0.0f;
    }
    return x;
  }

  __device__ __forceinline__ uint32_t keeps(uint64_t element) const {  // 0 or 1
    if constexpr (!dropping) return 1;
    return bits(draw(element), element) >= dropout_.threshold;
  }
  __device__ __forceinline__ int first_row() const { return dropping ? int(state_.first_row) : 0; }
  __device__ __forceinline__ float factor(uint32_t kept) const {
    return !dropping ? 1 : kept ? dropout_.scale : 0;
  }
  // Factors of `element` and the next, which mostly share a draw.
  __device__ __forceinline__ float2 factors(uint64_t element) const {
    if constexpr (!dropping) return make_float2(1, 1);
    const Random4 r = draw(element);
    const uint32_t next = bits(element % 8 == 7 ? draw(element + 1) : r, element + 1);
    return make_float2(factor(bits(r, element) >= dropout_.threshold), factor(next >= dropout_.threshold));
  }

 private:
  __device__ __forceinline__ Random4 draw(uint64_t element) const {
    return random4(state_.seed, state_.pass, dropout_.site, (element + first_) / 8);
  }
  // Selects registers instead of indexing, which would put the draw into local memory.
  __device__ static __forceinline__ uint32_t bits(const Random4& r, uint64_t element) {
    const uint32_t low = element & 2 ? r.v[1] : r.v[0], high = element & 2 ? r.v[3] : r.v[2];
    return dropout_bits(element & 4 ? high : low, uint32_t(element));
  }

  DropoutArgs dropout_;
  RandomState state_;
  uint64_t first_ = 0;
};

}  // namespace warpbert::kernels
