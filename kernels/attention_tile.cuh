// Products of 16-row tiles in shared memory by one warp. Row strides are 16 bytes more than D columns: eight
// rows of a column start in different banks.
//
// Lane layout, g = lane / 4, t = lane % 4 (mma.m16n8k16, PTX ISA 9.7.14):
//   16 × 16 product c[n][i]:   row g + 8·(i / 2), column 8·n + 2·t + i % 2
//   16 × D sum acc[n][i]:      row g + 8·(i / 2), column sum_column<T>(n) + i % 2
#pragma once
#include "simt/simt.h"

namespace warpbert::kernels {

template <class T, int D>
constexpr int tile_stride = D + 16 / int(sizeof(T));

template <class T>
__device__ __forceinline__ int sum_column(int n) {
  const int t = threadIdx.x % 4;
  return sizeof(T) == 2 ? n * 8 + t * 2 : n / 2 * 16 + t * 4 + n % 2 * 2;
}

__device__ __forceinline__ void store_pair(float* p, float x, float y) {
  const float2 pair = make_float2(x, y);
  *reinterpret_cast<float2*>(p) = pair;
}
__device__ __forceinline__ void store_pair(bf16* p, float x, float y) {
  const uint32_t pair = pack_bf16(x, y);
  *reinterpret_cast<uint32_t*>(p) = pair;
}

// ---- bf16: mma.m16n8k16 -----------------------------------------------------------------------------------

// c = x·yᵀ, 16 rows each.
template <int D>
__device__ __forceinline__ void multiply(float (&c)[2][4], const bf16* x, const bf16* y) {
  const int lane = threadIdx.x % 32;
  const bf16* x_row = x + lane % 16 * tile_stride<bf16, D> + lane / 16 * 8;
  const bf16* y_row = y + (lane % 8 + lane / 16 * 8) * tile_stride<bf16, D> + lane / 8 % 2 * 8;
#pragma unroll
  for (int i = 0; i < 4; i++) c[0][i] = c[1][i] = 0;
#pragma unroll(D > 64 ? 4 : D / 16)  // full unrolling takes registers the sums need
  for (int k = 0; k < D; k += 16) {
    uint32_t a[4], b[4];
    ldmatrix_x4(a, x_row + k);
    ldmatrix_x4(b, y_row + k);
    mma_m16n8k16_bf16(c[0], a, {b[0], b[1]}, c[0]);
    mma_m16n8k16_bf16(c[1], a, {b[2], b[3]}, c[1]);
  }
}

// acc += a·y, a: fragment.
template <int D>
__device__ __forceinline__ void accumulate_fragment(float (&acc)[D / 8][4], const uint32_t (&a)[4],
                                                    const bf16* y) {
  const int lane = threadIdx.x % 32;
  const bf16* y_row = y + lane % 16 * tile_stride<bf16, D> + lane / 16 * 8;
#pragma unroll
  for (int n = 0; n < D / 8; n += 2) {
    uint32_t b[4];
    ldmatrix_x4_trans(b, y_row + n * 8);
    mma_m16n8k16_bf16(acc[n], a, {b[0], b[1]}, acc[n]);
    mma_m16n8k16_bf16(acc[n + 1], a, {b[2], b[3]}, acc[n + 1]);
  }
}

// acc += a·y; a from `multiply` already has the operand's layout.
template <int D>
__device__ __forceinline__ void accumulate(float (&acc)[D / 8][4], const float (&a)[2][4], const bf16* y,
                                           float*) {
  const uint32_t fragment[4] = {pack_bf16(a[0][0], a[0][1]), pack_bf16(a[0][2], a[0][3]),
                                pack_bf16(a[1][0], a[1][1]), pack_bf16(a[1][2], a[1][3])};
  accumulate_fragment<D>(acc, fragment, y);
}

// acc += aᵀ·y, a: 16 × 16, leading dimension lda.
template <int D>
__device__ __forceinline__ void accumulate_transposed(float (&acc)[D / 8][4], const bf16* a, int lda,
                                                      const bf16* y) {
  const int lane = threadIdx.x % 32;
  uint32_t fragment[4];
  ldmatrix_x4_trans(fragment, a + (lane % 8 + lane / 16 * 8) * lda + lane / 8 % 2 * 8);
  accumulate_fragment<D>(acc, fragment, y);
}

// ---- float: FMA -------------------------------------------------------------------------------------------

constexpr int scratch_stride = 20, scratch_floats = 16 * scratch_stride;  // per warp

template <int D>
__device__ __forceinline__ void multiply(float (&c)[2][4], const float* x, const float* y) {
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  Float4 sum[2][4] = {};
#pragma unroll 2
  for (int d = 0; d < D; d += 4) {
    Float4 row[2], column[2][2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
      row[i] = *reinterpret_cast<const Float4*>(x + (g + i * 8) * tile_stride<float, D> + d);
      column[0][i] = *reinterpret_cast<const Float4*>(y + (t * 2 + i) * tile_stride<float, D> + d);
      column[1][i] = *reinterpret_cast<const Float4*>(y + (t * 2 + i + 8) * tile_stride<float, D> + d);
    }
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) fma4(sum[n][i], row[i / 2], column[n][i % 2]);
  }
#pragma unroll
  for (int n = 0; n < 2; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) c[n][i] = (sum[n][i][0] + sum[n][i][1]) + (sum[n][i][2] + sum[n][i][3]);
}

// acc += a·y; left(k, r): element of a in column k, row g + 8·r.
template <int D, class Left>
__device__ __forceinline__ void add_rows(float (&acc)[D / 8][4], const float* y, Left left) {
  Float4 sum[D / 8];
#pragma unroll
  for (int n = 0; n < D / 8; n++) sum[n] = Float4{acc[n][0], acc[n][1], acc[n][2], acc[n][3]};
  y += threadIdx.x % 4 * 4;
#pragma unroll 4
  for (int k = 0; k < 16; k++, y += tile_stride<float, D>) {
    const float a0 = left(k, 0), a1 = left(k, 1);
    const Float4 a = {a0, a0, a1, a1};
#pragma unroll
    for (int n = 0; n < D / 8; n += 2) {
      const Float4 v = *reinterpret_cast<const Float4*>(y + n * 8);
      fma4(sum[n], a, Float4{v[0], v[1], v[0], v[1]});
      fma4(sum[n + 1], a, Float4{v[2], v[3], v[2], v[3]});
    }
  }
#pragma unroll
  for (int n = 0; n < D / 8; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) acc[n][i] = sum[n][i];
}

// acc += a·y. A lane holds a quarter of a's columns; `scratch` brings the others.
template <int D>
__device__ __forceinline__ void accumulate(float (&acc)[D / 8][4], const float (&a)[2][4], const float* y,
                                           float* scratch) {
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  __syncwarp();  // the previous call's reads are done
#pragma unroll
  for (int n = 0; n < 2; n++) {
    store_pair(scratch + g * scratch_stride + n * 8 + t * 2, a[n][0], a[n][1]);
    store_pair(scratch + (g + 8) * scratch_stride + n * 8 + t * 2, a[n][2], a[n][3]);
  }
  __syncwarp();  // scratch is complete
  const float* rows = scratch + g * scratch_stride;
  add_rows<D>(acc, y, [=](int k, int r) { return rows[r * 8 * scratch_stride + k]; });
}

template <int D>
__device__ __forceinline__ void accumulate_transposed(float (&acc)[D / 8][4], const float* a, int lda,
                                                      const float* y) {
  a += threadIdx.x % 32 / 4;
  add_rows<D>(acc, y, [=](int k, int r) { return a[k * lda + r * 8]; });
}

}  // namespace warpbert::kernels
