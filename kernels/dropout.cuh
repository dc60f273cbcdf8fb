#pragma once
#include "launch.h"
#include "philox.h"
#include "vector.cuh"

namespace warpbert::kernels {

struct DropoutArgs {
  const RandomState* random;
  uint32_t site, threshold;  // keeps an element iff its 16 bits are >= threshold
  float scale;
};

inline DropoutArgs dropout_args(const Dropout& d) {
  return {d.random, d.site, dropout_threshold(d.rate), dropout_scale(d.rate)};
}

inline void check_dropout(const char* launcher, const Dropout& dropout) {
  if (!(dropout.rate >= 0 && dropout.rate < 1))
    refuse(launcher, "dropout rate ", dropout.rate, " is outside [0, 1)");
  if (dropout.rate > 0 && !dropout.random) refuse(launcher, "dropout needs a random state");
}

// Loads the random state early. Without `dropping` factors are 1.
template <bool dropping>
class DropoutMask {
 public:
  __device__ __forceinline__ explicit DropoutMask(const DropoutArgs& dropout) : dropout_(dropout) {
    if constexpr (dropping) state_ = *dropout.random;
  }

  // `column` and `columns`: multiples of 8.
  __device__ __forceinline__ Float8 operator()(int row, int columns, int column, Float8 x) const {
    if constexpr (dropping) {
      const uint32_t group =
          (state_.first_row + uint32_t(row)) * uint32_t(columns / 8) + uint32_t(column / 8);
      const Random4 r = random4(state_.seed, state_.pass, dropout_.site, group);
      const uint32_t threshold = dropout_.threshold;
      const float scale = dropout_.scale;
#pragma unroll
      for (int i = 0; i < 4; i++) {  // g++ does not vectorize a loop over all eight
        const float even = x[2 * i] * scale, odd = x[2 * i + 1] * scale;
        x[2 * i] = dropout_bits(r.v[i], 0) >= threshold ? even : 0;
        x[2 * i + 1] = dropout_bits(r.v[i], 1) >= threshold ? odd : 0;
      }
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
  // Factors of two elements, mostly from one draw.
  __device__ __forceinline__ float2 factors(uint64_t element) const {
    if constexpr (!dropping) return make_float2(1, 1);
    const Random4 r = draw(element);
    const uint32_t next = bits(element % 8 == 7 ? draw(element + 1) : r, element + 1);
    return make_float2(factor(bits(r, element) >= dropout_.threshold), factor(next >= dropout_.threshold));
  }

 private:
  __device__ __forceinline__ Random4 draw(uint64_t element) const {
    return random4(state_.seed, state_.pass, dropout_.site, element / 8);
  }
  // Selects registers: indexing would use local memory.
  __device__ static __forceinline__ uint32_t bits(const Random4& r, uint64_t element) {
    const uint32_t low = element & 2 ? r.v[1] : r.v[0], high = element & 2 ? r.v[3] : r.v[2];
    return dropout_bits(element & 4 ? high : low, uint32_t(element));
  }

  DropoutArgs dropout_;
  RandomState state_;
};

}  // namespace warpbert::kernels
