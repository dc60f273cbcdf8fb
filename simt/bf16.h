// bfloat16: the upper half of a float. Storage only; arithmetic is done in float.
//
// One type for nvcc and host compilers: headers naming it need no CUDA.
#pragma once
#include <bit>
#include <cstdint>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#define WARPBERT_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define WARPBERT_HOST_DEVICE inline
#endif

namespace warpbert {

struct bf16 {
  uint16_t bits;
};

WARPBERT_HOST_DEVICE float to_float(float x) { return x; }
WARPBERT_HOST_DEVICE float to_float(bf16 x) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(uint32_t(x.bits) << 16);
#else
  return std::bit_cast<float>(uint32_t(x.bits) << 16);
#endif
}

// Rounds to nearest even; NaN stays NaN. No branch on the CPU, so that loops vectorize.
WARPBERT_HOST_DEVICE bf16 to_bf16(float x) {
#ifdef __CUDA_ARCH__
  return {__bfloat16_as_ushort(__float2bfloat16_rn(x))};
#else
  const uint32_t u = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
  return {uint16_t((u & 0x7fffffff) > 0x7f800000 ? 0x7fff : rounded)};
#endif
}

// Converts x to the storage type T, float or bf16.
template <class T>
WARPBERT_HOST_DEVICE T from_float(float x) {
  if constexpr (sizeof(T) == 2) return to_bf16(x);
  else return x;
}

}  // namespace warpbert
