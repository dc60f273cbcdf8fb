// Warp-level matrix operations. Layouts: PTX ISA, "Matrix fragments for mma.m16n8k16" and "ldmatrix".
#include <cstring>

#include "block.h"

namespace simt {
namespace {

typedef float Row __attribute__((vector_size(32)));  // eight neighbours
typedef uint32_t Bits __attribute__((vector_size(32)));
typedef uint64_t Pairs __attribute__((vector_size(32)));  // two neighbours each

Warp& warp() { return block->warp[current / 32]; }
Row low(Bits u) { return reinterpret_cast<Row>(u << 16); }
Row high(Bits u) { return reinterpret_cast<Row>(u & 0xffff0000); }

template <class T>
T load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class T>
void store(void* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

}  // namespace

const float* stage_mma(const uint32_t* a, const uint32_t* b, const float* c) {
  Warp& w = warp();
  const int i = lane();
  std::memcpy(w.a[i], a, 16), std::memcpy(w.b[i], b, 8), std::memcpy(w.c[i], c, 16);
  return reinterpret_cast<const float*>(w.result[i]);
}

const uint32_t* stage_row(const uint32_t* row) {
  Warp& w = warp();
  std::memcpy(w.a[lane()], row, 16);
  return w.result[lane()];
}

// Operands of lane 4g + t; registers of a and b hold two elements, the first in the lower half:
//   a[r] = A[g + 8(r % 2)][2t + 8(r / 2) + {0, 1}]
//   b[r] = B[2t + 8r + {0, 1}][g]
//   c[r] = C[g + 8(r / 2)][2t + r % 2]
// Rows of B, C and D are vectors. A is read by element, so only its even and odd columns are separated.
//
// Each element is a chain of fused multiply-adds, c first, then k ascending: the same bits on every CPU with
// FMA.
void mma_bf16(void**, unsigned) {
  Warp& w = warp();
  alignas(64) float a[2][32][4];
  for (int i = 0; i < 32; i += 2) {
    const Bits u = load<Bits>(w.a[i]);
    store(a[0][i], low(u)), store(a[1][i], high(u));
  }
  Row b[16];
  for (int t = 0; t < 4; t++)
    for (int r = 0; r < 2; r++) {
      const Bits u = {w.b[t][r],      w.b[t + 4][r],  w.b[t + 8][r],  w.b[t + 12][r],
                      w.b[t + 16][r], w.b[t + 20][r], w.b[t + 24][r], w.b[t + 28][r]};
      b[2 * t + 8 * r] = low(u), b[2 * t + 8 * r + 1] = high(u);
    }
  Row d[2][8];
  for (int g = 0; g < 8; g++) {
    const Pairs left = load<Pairs>(w.c[4 * g]), right = load<Pairs>(w.c[4 * g + 2]);
    d[0][g] = reinterpret_cast<Row>(__builtin_shufflevector(left, right, 0, 2, 4, 6));
    d[1][g] = reinterpret_cast<Row>(__builtin_shufflevector(left, right, 1, 3, 5, 7));
  }
  for (int p = 0; p < 2; p++)  // eight rows fit in registers
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++)
#pragma GCC unroll 8
      for (int g = 0; g < 8; g++) d[p][g] += a[k % 2][4 * g + k / 2 % 4][p + k / 8 * 2] * b[k];
  for (int g = 0; g < 8; g++) {
    const Pairs top = reinterpret_cast<Pairs>(d[0][g]), bottom = reinterpret_cast<Pairs>(d[1][g]);
    store(w.result[4 * g], __builtin_shufflevector(top, bottom, 0, 4, 1, 5));
    store(w.result[4 * g + 2], __builtin_shufflevector(top, bottom, 2, 6, 3, 7));
  }
}

// Lane 8m + i staged row i of matrix m: eight halves in four words. Lane 4i + j receives, from each m, halves
// 2j and 2j + 1 of row i; transposed, half i of rows 2j and 2j + 1.
void ldmatrix(void**, unsigned) {
  Warp& w = warp();
  const uint32_t* words = w.a[0];
  for (int i = 0; i < 32; i++)
    for (int m = 0; m < 4; m++) w.result[i][m] = words[m * 32 + i];
}
void ldmatrix_trans(void**, unsigned) {
  Warp& w = warp();
  uint16_t halves[32][8];
  std::memcpy(halves, w.a, sizeof halves);
  for (int i = 0; i < 32; i++)
    for (int m = 0; m < 4; m++)
      w.result[i][m] = halves[m * 8 + i % 4 * 2][i / 4] | uint32_t(halves[m * 8 + i % 4 * 2 + 1][i / 4])
                                                              << 16;
}

}  // namespace simt
