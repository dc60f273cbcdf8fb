// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", §3.3), the generator of cuRAND.
//
// A random number here is a function of (seed, pass, site, element) and of nothing else, so that backward draws
// forward's dropout mask again instead of storing it, and a resumed run draws what an uninterrupted one does.
// Element i of (seed, pass, site) equals what cuRAND draws after curand_init(seed, uint64_t(pass) << 32 | site, i).
#pragma once
#include <cstdint>

#include "bf16.h"

namespace warpbert {

struct Random4 {
  uint32_t v[4];
};

WARPBERT_HOST_DEVICE uint32_t multiply_high(uint32_t a, uint32_t b) { return uint32_t(uint64_t(a) * b >> 32); }

WARPBERT_HOST_DEVICE Random4 philox4x32_10(Random4 counter, uint32_t key0, uint32_t key1) {
#ifdef __CUDA_ARCH__
#pragma unroll
#endif
  for (int round = 0; round < 10; round++) {
    const uint32_t high0 = multiply_high(0xD2511F53u, counter.v[0]), low0 = 0xD2511F53u * counter.v[0];
    const uint32_t high1 = multiply_high(0xCD9E8D57u, counter.v[2]), low1 = 0xCD9E8D57u * counter.v[2];
    counter = {{high1 ^ counter.v[1] ^ key0, low1, high0 ^ counter.v[3] ^ key1, low0}};
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
  return counter;
}

// Elements 4·group … 4·group+3 of (seed, pass, site).
WARPBERT_HOST_DEVICE Random4 random4(uint64_t seed, uint32_t pass, uint32_t site, uint64_t group) {
  return philox4x32_10({{uint32_t(group), uint32_t(group >> 32), site, pass}}, uint32_t(seed), uint32_t(seed >> 32));
}

// An element is kept iff its random word is at least this: P(dropped) = rate to 2⁻³².
WARPBERT_HOST_DEVICE uint32_t dropout_threshold(float rate) { return uint32_t(double(rate) * 4294967296.0); }

}  // namespace warpbert
