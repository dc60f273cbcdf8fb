// Arithmetic, comparisons, conversions, moves.
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <limits>

#include "instructions.h"

namespace ptx {
namespace {

float flush(float x) { return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x; }

uint16_t bf16_nearest_even(float x) {
  if (std::isnan(x)) return 0x7fff;
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t below = bits & 0xffff, odd = bits >> 16 & 1;
  return uint16_t((bits >> 16) + (below + odd > 0x8000));
}

void fma_down(Warp& w, const Instruction& i, Mask mask) {
  uint64_t* const d = w.row(i.to[0]);
  const uint64_t *const a = w.row(i.from[0]), *const b = w.row(i.from[1]), *const c = w.row(i.from[2]);
  std::fesetround(FE_DOWNWARD);
  each(mask, [&](int l) {
    volatile float x = get<float>(a[l]);  // read after the rounding mode is set
    volatile float y = std::fma(x, get<float>(b[l]), get<float>(c[l]));
    d[l] = put<float>(y);
  });
  std::fesetround(FE_TONEAREST);
}

// ptxas may fuse operations without .rn into fma.
template <class T>
void arithmetic_of_floating(Table& t, const std::string& type, Unit unit, Unit division) {
  for (const std::string rn : {"", ".rn"}) {
    add(t, "add" + rn + type, unit, of2<T, T>([](T a, T b) { return a + b; }));
    add(t, "sub" + rn + type, unit, of2<T, T>([](T a, T b) { return a - b; }));
    add(t, "mul" + rn + type, unit, of2<T, T>([](T a, T b) { return a * b; }));
  }
  add(t, "fma.rn" + type, unit, of3<T, T, T>([](T a, T b, T c) { return std::fma(a, b, c); }));
  add(t, "neg" + type, unit, of1<T>([](T a) { return -a; }));
  add(t, "abs" + type, unit, of1<T>([](T a) { return std::fabs(a); }));
  add(t, "max" + type, unit, of2<T, T>([](T a, T b) { return std::fmax(a, b); }));
  add(t, "min" + type, unit, of2<T, T>([](T a, T b) { return std::fmin(a, b); }));
  add(t, "div.rn" + type, division, of2<T, T>([](T a, T b) { return a / b; }));
  add(t, "sqrt.rn" + type, division, of1<T>([](T a) { return std::sqrt(a); }));
}

void special_functions(Table& t) {
  add(t, "fma.rm.f32", Unit::fp32, fma_down);
  add(t, "rcp.rn.f32", Unit::special, of1<float>([](float a) { return 1 / a; }));
  // GPU approximations err by up to 2 ulp; these are the nearest floats.
  add(t, "div.approx.f32", Unit::special,
      of2<float, float>([](float a, float b) { return std::fabs(b) > 0x1p126f ? a * 0 : a / b; }));
  add(t, "rsqrt.approx.f32", Unit::special,
      of1<float>([](float a) { return float(1 / std::sqrt(double(a))); }));
  add(t, "ex2.approx.f32", Unit::special, of1<float>([](float a) { return float(std::exp2(double(a))); }));
  add(t, "ex2.approx.ftz.f32", Unit::special,
      of1<float>([](float a) { return flush(float(std::exp2(double(flush(a))))); }));
  add(t, "rcp.approx.ftz.f32", Unit::special, of1<float>([](float a) { return flush(1 / flush(a)); }));
  add(t, "lg2.approx.f32", Unit::special, of1<float>([](float a) { return float(std::log2(double(a))); }));
}

template <class T>
constexpr auto shift_left = [](T a, uint32_t by) { return by >= 8 * sizeof(T) ? T(0) : T(a << by); };
template <class T>
constexpr auto shift_right = [](T a, uint32_t by) {
  const uint32_t most = 8 * sizeof(T) - 1;
  return by > most ? (std::is_signed_v<T> ? T(a >> most) : T(0)) : T(a >> by);
};

// The processor traps at INT_MIN / -1.
template <class T>
bool divides_by_minus_one(T b) {
  return std::is_signed_v<T> && b == T(-1);
}

template <class T, class Wide>
void arithmetic_of(Table& t, const std::string& type) {
  add(t, "add." + type, Unit::integer, of2<T, T>([](T a, T b) { return T(Bits<T>(a) + Bits<T>(b)); }));
  add(t, "sub." + type, Unit::integer, of2<T, T>([](T a, T b) { return T(Bits<T>(a) - Bits<T>(b)); }));
  add(t, "mul.lo." + type, Unit::integer,
      of2<T, T>([](T a, T b) { return T(uint64_t(Bits<T>(a)) * Bits<T>(b)); }));
  if constexpr (sizeof(Wide) <= 8) {
    add(t, "mul.wide." + type, Unit::integer, of2<T, T>([](T a, T b) { return Wide(Wide(a) * Wide(b)); }));
    add(t, "mul.hi." + type, Unit::integer,
        of2<T, T>([](T a, T b) { return T(Wide(Wide(a) * Wide(b)) >> 8 * sizeof(T)); }));
  }
  add(t, "mad.lo." + type, Unit::integer,
      of3<T, T, T>([](T a, T b, T c) { return T(uint64_t(Bits<T>(a)) * Bits<T>(b) + Bits<T>(c)); }));
  add(t, "min." + type, Unit::integer, of2<T, T>([](T a, T b) { return a < b ? a : b; }));
  add(t, "max." + type, Unit::integer, of2<T, T>([](T a, T b) { return a > b ? a : b; }));
  add(t, "neg." + type, Unit::integer, of1<T>([](T a) { return T(0 - Bits<T>(a)); }));
  add(t, "shr." + type, Unit::integer, of2<T, uint32_t>(shift_right<T>));
  add(t, "div." + type, Unit::integer, of2<T, T>([](T a, T b) {
        return divides_by_minus_one(b) ? T(0 - Bits<T>(a)) : b ? T(a / b) : T(-1);
      }));
  add(t, "rem." + type, Unit::integer, of2<T, T>([](T a, T b) {
        return divides_by_minus_one(b) ? T(0) : b ? T(a % b) : T(-1);
      }));
}

template <class T>
void bits_of(Table& t, const std::string& type, Unit unit = Unit::integer) {
  add(t, "and." + type, unit, of2<T, T>([](T a, T b) { return T(a & b); }));
  add(t, "or." + type, unit, of2<T, T>([](T a, T b) { return T(a | b); }));
  add(t, "xor." + type, unit, of2<T, T>([](T a, T b) { return T(a ^ b); }));
  if constexpr (std::is_same_v<T, bool>) {
    add(t, "not." + type, unit, of1<bool>([](bool a) { return !a; }));
  } else {
    add(t, "not." + type, unit, of1<T>([](T a) { return T(~a); }));
    add(t, "shl." + type, unit, of2<T, uint32_t>(shift_left<T>));
  }
}

template <class T>
void choose_and_move(Table& t, const std::string& type) {
  add(t, "selp." + type, Unit::integer, of3<T, T, bool>([](T a, T b, bool p) { return p ? a : b; }));
  add(t, "mov." + type, Unit::none, of1<T>([](T a) { return a; }));
}

// Comparisons. Names ending in u are true for NaN.
template <class T>
void compare(Table& t, const std::string& type, Unit unit) {
  add(t, "setp.eq." + type, unit, of2<T, T>([](T a, T b) { return a == b; }));
  add(t, "setp.lt." + type, unit, of2<T, T>([](T a, T b) { return a < b; }));
  add(t, "setp.le." + type, unit, of2<T, T>([](T a, T b) { return a <= b; }));
  add(t, "setp.gt." + type, unit, of2<T, T>([](T a, T b) { return a > b; }));
  add(t, "setp.ge." + type, unit, of2<T, T>([](T a, T b) { return a >= b; }));
  if constexpr (std::is_floating_point_v<T>) {
    add(t, "setp.ne." + type, unit, of2<T, T>([](T a, T b) { return a < b || a > b; }));
    add(t, "setp.equ." + type, unit, of2<T, T>([](T a, T b) { return !(a < b || a > b); }));
    add(t, "setp.neu." + type, unit, of2<T, T>([](T a, T b) { return a != b; }));
    add(t, "setp.ltu." + type, unit, of2<T, T>([](T a, T b) { return !(a >= b); }));
    add(t, "setp.leu." + type, unit, of2<T, T>([](T a, T b) { return !(a > b); }));
    add(t, "setp.gtu." + type, unit, of2<T, T>([](T a, T b) { return !(a <= b); }));
    add(t, "setp.geu." + type, unit, of2<T, T>([](T a, T b) { return !(a < b); }));
    add(t, "setp.nan." + type, unit, of2<T, T>([](T a, T b) { return a != a || b != b; }));
    add(t, "setp.num." + type, unit, of2<T, T>([](T a, T b) { return a == a && b == b; }));
  } else {
    add(t, "setp.ne." + type, unit, of2<T, T>([](T a, T b) { return a != b; }));
  }
}

void conversions(Table& t) {
  add(t, "cvt.u32.u64", Unit::none, of1<uint64_t>([](uint64_t a) { return uint32_t(a); }));
  add(t, "cvt.u64.u32", Unit::none, of1<uint32_t>([](uint32_t a) { return uint64_t(a); }));
  add(t, "cvt.u32.u16", Unit::none, of1<uint16_t>([](uint16_t a) { return uint32_t(a); }));
  add(t, "cvt.u16.u32", Unit::none, of1<uint32_t>([](uint32_t a) { return uint16_t(a); }));
  add(t, "cvt.s64.s32", Unit::integer, of1<int32_t>([](int32_t a) { return int64_t(a); }));
  add(t, "cvt.s32.s16", Unit::integer, of1<int16_t>([](int16_t a) { return int32_t(a); }));
  add(t, "cvt.rn.f32.s32", Unit::special, of1<int32_t>([](int32_t a) { return float(a); }));
  add(t, "cvt.rn.f32.u32", Unit::special, of1<uint32_t>([](uint32_t a) { return float(a); }));
  add(t, "cvt.f64.f32", Unit::fp64, of1<float>([](float a) { return double(a); }));
  add(t, "cvt.rn.f32.f64", Unit::fp64, of1<double>([](double a) { return float(a); }));
  add(t, "cvt.rzi.s32.f64", Unit::fp64, of1<double>([](double a) {
        return a != a ? 0 : a >= 0x1p31 ? INT32_MAX : a <= -0x1p31 ? INT32_MIN : int32_t(a);
      }));
  add(t, "cvt.sat.f32.f32", Unit::fp32,
      of1<float>([](float a) { return a > 0 ? (a < 1 ? a : 1.0f) : 0.0f; }));
  add(t, "cvt.rn.bf16.f32", Unit::integer, of1<float>([](float a) { return bf16_nearest_even(a); }));
  add(t, "cvt.rn.bf16x2.f32", Unit::integer, of2<float, float>([](float high, float low) {
        return uint32_t(bf16_nearest_even(high)) << 16 | bf16_nearest_even(low);
      }));
}

// Replaces `length` bits of b, from `position` on, by a's low bits.
void insert_bits(Warp& w, const Instruction& i, Mask mask) {
  each(mask, [&](int l) {
    const uint32_t position = uint32_t(w.row(i.from[2])[l]) & 0xff,
                   length = uint32_t(w.row(i.from[3])[l]) & 0xff;
    const uint64_t a = uint32_t(w.row(i.from[0])[l]), b = uint32_t(w.row(i.from[1])[l]);
    const uint64_t field = position > 31 ? 0 : ((uint64_t(1) << std::min(length, 32u)) - 1) << position;
    w.row(i.to[0])[l] = uint32_t((b & ~field) | (position > 31 ? 0 : (a << position) & field));
  });
}

// mov from a register to a vector {…}, and back.
template <class Part>
void split(Warp& w, const Instruction& i, Mask mask) {
  each(mask, [&](int l) {
    const uint64_t whole = w.row(i.from[0])[l];
    for (size_t k = 0; k < i.to.size(); k++) w.row(i.to[k])[l] = Part(whole >> 8 * sizeof(Part) * k);
  });
}
template <class Part>
void join(Warp& w, const Instruction& i, Mask mask) {
  each(mask, [&](int l) {
    uint64_t whole = 0;
    for (size_t k = 0; k < i.from.size(); k++)
      whole |= uint64_t(Part(w.row(i.from[k])[l])) << 8 * sizeof(Part) * k;
    w.row(i.to[0])[l] = whole;
  });
}

}  // namespace

void add_arithmetic(Table& t) {
  arithmetic_of_floating<float>(t, ".f32", Unit::fp32, Unit::special);
  arithmetic_of_floating<double>(t, ".f64", Unit::fp64, Unit::fp64);
  special_functions(t);
  arithmetic_of<int16_t, int32_t>(t, "s16");
  arithmetic_of<uint16_t, uint32_t>(t, "u16");
  arithmetic_of<int32_t, int64_t>(t, "s32");
  arithmetic_of<uint32_t, uint64_t>(t, "u32");
  arithmetic_of<int64_t, __int128>(t, "s64");
  arithmetic_of<uint64_t, unsigned __int128>(t, "u64");
  bits_of<bool>(t, "pred", Unit::none);
  bits_of<uint16_t>(t, "b16");
  bits_of<uint32_t>(t, "b32");
  bits_of<uint64_t>(t, "b64");
  for (const char* type : {"b16", "u16", "s16"}) choose_and_move<uint16_t>(t, type);
  for (const char* type : {"b32", "u32", "s32", "f32"}) choose_and_move<uint32_t>(t, type);
  for (const char* type : {"b64", "u64", "s64", "f64"}) choose_and_move<uint64_t>(t, type);
  choose_and_move<bool>(t, "pred");
  compare<uint16_t>(t, "b16", Unit::integer), compare<uint16_t>(t, "u16", Unit::integer);
  compare<int16_t>(t, "s16", Unit::integer);
  compare<uint32_t>(t, "b32", Unit::integer), compare<uint32_t>(t, "u32", Unit::integer);
  compare<int32_t>(t, "s32", Unit::integer);
  compare<uint64_t>(t, "b64", Unit::integer), compare<uint64_t>(t, "u64", Unit::integer);
  compare<int64_t>(t, "s64", Unit::integer);
  compare<float>(t, "f32", Unit::fp32), compare<double>(t, "f64", Unit::fp64);
  conversions(t);
  add(t, "bfi.b32", Unit::integer, insert_bits);
  add(t, "split.b32", Unit::none, split<uint16_t>), add(t, "join.b32", Unit::none, join<uint16_t>);
  add(t, "split.b64", Unit::none, split<uint32_t>), add(t, "join.b64", Unit::none, join<uint32_t>);
  // cvta is the identity: global addresses are generic, shared ones are used only as shared.
  for (const char* cvta : {"cvta.to.global.u64", "cvta.shared.u64", "cvta.to.shared.u64"})
    add(t, cvta, Unit::none, of1<uint64_t>([](uint64_t a) { return a; }));
}

}  // namespace ptx
