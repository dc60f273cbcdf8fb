// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", §3.3), as in cuRAND.
#pragma once
#include <cstdint>

#include "simt/bf16.h"

namespace warpbert {

struct Random4 {
  uint32_t v[4];
};

WARPBERT_HOST_DEVICE uint32_t multiply_high(uint32_t a, uint32_t b) {
  return uint32_t(uint64_t(a) * b >> 32);
}

// One instruction for both halves of a·b; without asm, nvcc 13 emits two.
WARPBERT_HOST_DEVICE void multiply(uint32_t a, uint32_t b, uint32_t& high, uint32_t& low) {
#ifdef __CUDA_ARCH__
  asm("{ .reg .b64 %%product; mul.wide.u32 %%product, %2, %3; mov.b64 {%1, %0}, %%product; }"
      : "=r"(high), "=r"(low)
      : "r"(a), "r"(b));
#else
  const uint64_t product = uint64_t(a) * b;
  high = uint32_t(product >> 32), low = uint32_t(product);
#endif
}

WARPBERT_HOST_DEVICE Random4 philox4x32_10(Random4 counter, uint32_t key0, uint32_t key1) {
#ifdef __CUDA_ARCH__
#pragma unroll
#endif
  for (int round = 0; round < 10; round++) {
    uint32_t high0, low0, high1, low1;
    multiply(counter.v[0], 0xD2511F53u, high0, low0);
    multiply(counter.v[2], 0xCD9E8D57u, high1, low1);
    counter = {{high1 ^ counter.v[1] ^ key0, low1, high0 ^ counter.v[3] ^ key1, low0}};
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
  return counter;
}

// Words 4·group … 4·group+3 of (seed, pass, site).
WARPBERT_HOST_DEVICE Random4 random4(uint64_t seed, uint32_t pass, uint32_t site, uint64_t group) {
  return philox4x32_10({{uint32_t(group), uint32_t(group >> 32), site, pass}}, uint32_t(seed),
                       uint32_t(seed >> 32));
}

// ---- Dropout: element e has half-word e % 8 of draw e/8, low half of a word first -------------------------

// Half-word i of a draw, in the upper half; `word` holds it.
WARPBERT_HOST_DEVICE uint32_t dropout_bits(uint32_t word, uint32_t i) { return i % 2 ? word : word << 16; }

// Keeps an element iff dropout_bits >= this, whatever the lower half holds.
WARPBERT_HOST_DEVICE uint32_t dropout_threshold(float rate) {
  const uint32_t dropped = uint32_t(double(rate) * 65536 + 0.5);
  return (dropped < 65536 ? dropped : 65535) << 16;
}
WARPBERT_HOST_DEVICE float dropout_scale(float rate) {
  return float(4294967296.0 / (4294967296.0 - dropout_threshold(rate)));
}

}  // namespace warpbert
