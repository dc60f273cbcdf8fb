// Shuffles and mma.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "instructions.h"

namespace ptx {
namespace {

// shfl.sync: lane l reads `a` of lane l ^ b, l + b, …, or its own if that is outside its segment; p: inside.
template <char Mode>
void shuffle(Warp& w, const Instruction& i, Mask mask) {
  uint64_t values[lanes];
  std::memcpy(values, w.row(i.from[0]), sizeof values);
  each(mask, [&](int l) {
    const int b = int(w.row(i.from[1])[l] & 31), c = int(w.row(i.from[2])[l]), clamp = c & 31,
              segment = c >> 8 & 31;
    const int last = (l & segment) | (clamp & ~segment), first = l & segment;
    int from = 0;
    bool in_range = true;
    if (Mode == 'b') from = l ^ b, in_range = from <= last;
    if (Mode == 'd') from = l + b, in_range = from <= last;
    if (Mode == 'u') from = l - b, in_range = from >= last;
    if (Mode == 'i') from = first | (b & ~segment), in_range = from <= last;
    if (!in_range) from = l;
    if (!(mask >> from & 1)) w.block.fail("a shuffle reads a lane that does not take part");
    w.row(i.to[0])[l] = uint32_t(values[from]);
    if (i.to.size() > 1) w.row(i.to[1])[l] = in_range;
  });
}

// A finite number as significand · 2^exponent.
struct Parts {
  int32_t significand, exponent;
};
Parts parts_of_bf16(uint16_t x) {
  const int field = x >> 7 & 0xff, fraction = x & 0x7f, sign = x >> 15 ? -1 : 1;
  return {sign * (field ? fraction | 0x80 : fraction), (field ? field : 1) - 127 - 7};
}

// c + Σ a[k]·b[k] over eight k, as on tensor cores (Fasi et al. 2021, ../README.md): all nine terms are
// truncated to a common exponent, one bit beyond a float's, and added exactly; the sum is truncated to a
// float.
float dot8(float c, const Parts* a, const Parts* b) {
  int largest = INT32_MIN;
  int32_t product[8], exponent[8];
  for (int k = 0; k < 8; k++) {
    product[k] = a[k].significand * b[k].significand, exponent[k] = a[k].exponent + b[k].exponent + 14;
    if (product[k]) largest = std::max(largest, exponent[k]);
  }
  const auto c_bits = std::bit_cast<uint32_t>(c);
  const int c_field = int(c_bits >> 23 & 0xff), c_exponent = (c_field ? c_field : 1) - 127;
  int64_t c_significand = (c_bits & 0x7fffff) | (c_field ? 0x800000 : 0);
  if (c_significand) largest = std::max(largest, c_exponent);
  if (largest == INT32_MIN) return c + 0.0f;
  const auto cut = [&](int64_t magnitude, int e) { return magnitude >> std::min(largest - e, 62); };
  int64_t sum = c_significand ? cut(c_significand << 1, c_exponent) * (c_bits >> 31 ? -1 : 1) : 0;
  for (int k = 0; k < 8; k++) {
    const int64_t magnitude = product[k] < 0 ? -product[k] : product[k];
    if (magnitude) sum += cut(magnitude << 10, exponent[k]) * (product[k] < 0 ? -1 : 1);
  }
  // Keeps 24 bits, rounding towards zero.
  uint64_t kept = uint64_t(sum < 0 ? -sum : sum);
  const int spare = std::max(0, int(std::bit_width(kept)) - 24);
  kept = kept >> spare << spare;
  const double value = std::ldexp(double(kept), largest - 24);
  const float result = value > double(std::numeric_limits<float>::max())
                           ? std::numeric_limits<float>::infinity()
                           : float(value);
  return sum < 0 ? -result : result;
}

// mma.m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16"); ../cpu/mma.cpp lists the elements of each lane.
void multiply_matrices(Warp& w, const Instruction& i, Mask) {
  Parts a[16][16], b[8][16];  // b by columns
  bool finite = true;
  float a_float[16][16], b_float[8][16];
  const auto place = [&](Parts& p, float& f, uint16_t bits) {
    p = parts_of_bf16(bits);
    f = std::bit_cast<float>(uint32_t(bits) << 16);
    finite &= (bits >> 7 & 0xff) != 0xff;
  };
  for (int l = 0; l < lanes; l++)
    for (int k = 0; k < 2; k++) {
      const int g = l / 4, t2 = 2 * (l % 4);
      const auto half = [&](int r) { return uint16_t(w.row(i.from[size_t(r)])[l] >> 16 * k); };
      place(a[g][t2 + k], a_float[g][t2 + k], half(0));
      place(a[g + 8][t2 + k], a_float[g + 8][t2 + k], half(1));
      place(a[g][t2 + 8 + k], a_float[g][t2 + 8 + k], half(2));
      place(a[g + 8][t2 + 8 + k], a_float[g + 8][t2 + 8 + k], half(3));
      place(b[g][t2 + k], b_float[g][t2 + k], half(4));
      place(b[g][t2 + 8 + k], b_float[g][t2 + 8 + k], half(5));
    }
  for (int l = 0; l < lanes; l++)
    for (int r = 0; r < 4; r++) {
      const int row = l / 4 + r / 2 * 8, column = 2 * (l % 4) + r % 2;
      float d = get<float>(w.row(i.from[size_t(6 + r)])[l]);
      if (finite && std::isfinite(d)) {
        d = dot8(d, a[row], b[column]);
        d = std::isfinite(d) ? dot8(d, a[row] + 8, b[column] + 8) : d;
      } else {
        for (int k = 0; k < 16; k++) d += a_float[row][k] * b_float[column][k];
      }
      w.row(i.to[size_t(r)])[l] = put(d);
    }
}

}  // namespace

void add_collectives(Table& t) {
  add(t, "shfl.sync.bfly.b32", Unit::shuffle, shuffle<'b'>, Rendezvous::shuffle);
  add(t, "shfl.sync.down.b32", Unit::shuffle, shuffle<'d'>, Rendezvous::shuffle);
  add(t, "shfl.sync.up.b32", Unit::shuffle, shuffle<'u'>, Rendezvous::shuffle);
  add(t, "shfl.sync.idx.b32", Unit::shuffle, shuffle<'i'>, Rendezvous::shuffle);
  add(t, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", Unit::mma, multiply_matrices,
      Rendezvous::aligned);
}

}  // namespace ptx
