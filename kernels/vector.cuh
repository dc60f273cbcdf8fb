#pragma once
#include <type_traits>

#include "simt/simt.h"

namespace warpbert::kernels {

struct Float8 {
  float v[8];
  __device__ __forceinline__ float& operator[](int i) { return v[i]; }
  __device__ __forceinline__ float operator[](int i) const { return v[i]; }
};
__device__ __forceinline__ void operator+=(Float8& to, const Float8& x) {
#pragma unroll
  for (int i = 0; i < 8; i++) to[i] += x[i];
}

__device__ __forceinline__ uint4 pack8(const Float8& x) {
  return make_uint4(pack_bf16(x.v[0], x.v[1]), pack_bf16(x.v[2], x.v[3]), pack_bf16(x.v[4], x.v[5]),
                    pack_bf16(x.v[6], x.v[7]));
}
__device__ __forceinline__ Float8 unpack8(uint4 u) {
  const unsigned pairs[4] = {u.x, u.y, u.z, u.w};
  Float8 r;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    r.v[2 * i] = __uint_as_float(pairs[i] << 16);
    r.v[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000u);
  }
  return r;
}

// ---- Eight adjacent values --------------------------------------------------------------------------------
__device__ __forceinline__ Float8 load8(const float* p) {
  const float4 a = reinterpret_cast<const float4*>(p)[0], b = reinterpret_cast<const float4*>(p)[1];
  return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}

// Pending bf16 loads take half the registers. Loads and stores use named locals, because gcc's
// ThreadSanitizer misses call arguments and results.
template <class T>
using Raw8 = std::conditional_t<sizeof(T) == 2, uint4, Float8>;
__device__ __forceinline__ Float8 load_raw8(const float* p) { return load8(p); }
__device__ __forceinline__ uint4 load_raw8(const bf16* p) {
  const uint4 u = *reinterpret_cast<const uint4*>(p);
  return u;
}
__device__ __forceinline__ Float8 unpack8(const Float8& x) { return x; }
__device__ __forceinline__ Float8 load8(const bf16* p) { return unpack8(load_raw8(p)); }

__device__ __forceinline__ void store8(float* p, const Float8& x) {
  const float4 a = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]),
               b = make_float4(x.v[4], x.v[5], x.v[6], x.v[7]);
  reinterpret_cast<float4*>(p)[0] = a;
  reinterpret_cast<float4*>(p)[1] = b;
}
__device__ __forceinline__ void store8(bf16* p, const Float8& x) {
  const uint4 u = pack8(x);
  *reinterpret_cast<uint4*>(p) = u;
}

// Returns x rounded to T. Rounding in pairs takes a quarter of the time.
__device__ __forceinline__ Float8 store8_and_round(float* p, const Float8& x, bool inside) {
  if (inside) store8(p, x);
  return x;
}
__device__ __forceinline__ Float8 store8_and_round(bf16* p, const Float8& x, bool inside) {
  const uint4 u = pack8(x);
  if (inside) *reinterpret_cast<uint4*>(p) = u;
  return unpack8(u);
}

// ---- Rows: one block per row, eight adjacent columns per thread -------------------------------------------
// Whole warps, at most `most` threads; wider rows take several pieces per thread.
inline unsigned row_threads(int columns, unsigned most) {
  const unsigned wanted = (unsigned(columns) / 8 + 31) / 32 * 32;
  return wanted < most ? wanted : most;
}

// ---- Flat arrays: 2,048 values per block, two groups of four 1,024 apart per thread -----------------------
// Eight adjacent values per thread would use half of each 32-byte sector and store it twice.
constexpr int flat_threads = 256, flat_values = 8 * flat_threads, flat_apart = flat_values / 2;

inline unsigned flat_blocks(size_t n) { return unsigned((n + flat_values - 1) / flat_values); }

// A thread begins 4·threadIdx.x after the block. A partial last block goes value by value.
__device__ __forceinline__ size_t flat_begin() { return size_t(blockIdx.x) * flat_values; }

__device__ __forceinline__ Float8 load_groups(const float* p) {
  const float4 a = *reinterpret_cast<const float4*>(p), b = *reinterpret_cast<const float4*>(p + flat_apart);
  return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}
__device__ __forceinline__ Float8 load_groups(const bf16* p) {
  const uint2 a = *reinterpret_cast<const uint2*>(p), b = *reinterpret_cast<const uint2*>(p + flat_apart);
  return unpack8(make_uint4(a.x, a.y, b.x, b.y));
}
__device__ __forceinline__ void store_groups(float* p, const Float8& x) {
  const float4 a = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]),
               b = make_float4(x.v[4], x.v[5], x.v[6], x.v[7]);
  *reinterpret_cast<float4*>(p) = a;
  *reinterpret_cast<float4*>(p + flat_apart) = b;
}
__device__ __forceinline__ void store_groups(bf16* p, const Float8& x) {
  const uint4 u = pack8(x);
  const uint2 a = make_uint2(u.x, u.y), b = make_uint2(u.z, u.w);
  *reinterpret_cast<uint2*>(p) = a;
  *reinterpret_cast<uint2*>(p + flat_apart) = b;
}

}  // namespace warpbert::kernels
