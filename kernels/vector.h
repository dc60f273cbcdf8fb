// Eight neighbouring values at a time: one 16-byte access for bf16, two for float.
#pragma once
#include "simt.h"

namespace warpbert::kernels {

struct Float8 {
  float v[8];
  __device__ __forceinline__ float& operator[](int i) { return v[i]; }
  __device__ __forceinline__ float operator[](int i) const { return v[i]; }
};

__device__ __forceinline__ Float8 load8(const float* p) {
  const float4 a = reinterpret_cast<const float4*>(p)[0], b = reinterpret_cast<const float4*>(p)[1];
  return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}
__device__ __forceinline__ Float8 load8(const bf16* p) {
  const uint4 u = *reinterpret_cast<const uint4*>(p);
  const unsigned pairs[4] = {u.x, u.y, u.z, u.w};
  Float8 r;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    r.v[2 * i] = __uint_as_float(pairs[i] << 16);
    r.v[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000u);
  }
  return r;
}

__device__ __forceinline__ void store8(float* p, const Float8& x) {
  reinterpret_cast<float4*>(p)[0] = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
  reinterpret_cast<float4*>(p)[1] = make_float4(x.v[4], x.v[5], x.v[6], x.v[7]);
}
__device__ __forceinline__ void store8(bf16* p, const Float8& x) {
  *reinterpret_cast<uint4*>(p) = make_uint4(pack_bf16(x.v[0], x.v[1]), pack_bf16(x.v[2], x.v[3]),
                                            pack_bf16(x.v[4], x.v[5]), pack_bf16(x.v[6], x.v[7]));
}

}  // namespace warpbert::kernels
