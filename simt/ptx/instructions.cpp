// PTX instructions of our kernels, by their names in the PTX ISA.
#include <algorithm>
#include <array>
#include <bit>
#include <cfenv>
#include <cmath>
#include <limits>
#include <type_traits>
#include <unordered_map>

#include "block.h"

namespace ptx {
namespace {

template <class F>
void each(Mask mask, F f) {
  if (mask == all_lanes)
    for (int lane = 0; lane < lanes; lane++) f(lane);
  else
    for (; mask; mask &= mask - 1) f(std::countr_zero(mask));
}

// get() and put() convert a register's low bits to T and back; high bits are zero.
template <class T>
using Bits = std::conditional_t<
    sizeof(T) == 8, uint64_t,
    std::conditional_t<sizeof(T) == 4, uint32_t, std::conditional_t<sizeof(T) == 2, uint16_t, uint8_t>>>;
template <class T>
T get(uint64_t bits) {
  return std::bit_cast<T>(Bits<T>(bits));
}
template <class T>
uint64_t put(T value) {
  return std::bit_cast<Bits<T>>(value);
}

// d = f(a), f(a, b), f(a, b, c), per lane.
template <class A, class F>
Execute of1(F) {
  return [](Warp& w, const Instruction& i, Mask mask) {
    uint64_t* const d = w.row(i.to[0]);
    const uint64_t* const a = w.row(i.from[0]);
    each(mask, [&](int l) { d[l] = put(F()(get<A>(a[l]))); });
  };
}
template <class A, class B, class F>
Execute of2(F) {
  return [](Warp& w, const Instruction& i, Mask mask) {
    uint64_t* const d = w.row(i.to[0]);
    const uint64_t *const a = w.row(i.from[0]), *const b = w.row(i.from[1]);
    each(mask, [&](int l) { d[l] = put(F()(get<A>(a[l]), get<B>(b[l]))); });
  };
}
template <class A, class B, class C, class F>
Execute of3(F) {
  return [](Warp& w, const Instruction& i, Mask mask) {
    uint64_t* const d = w.row(i.to[0]);
    const uint64_t *const a = w.row(i.from[0]), *const b = w.row(i.from[1]), *const c = w.row(i.from[2]);
    each(mask, [&](int l) { d[l] = put(F()(get<A>(a[l]), get<B>(b[l]), get<C>(c[l]))); });
  };
}

using Table = std::unordered_map<std::string, Known>;

void add(Table& table, const std::string& opcode, Unit unit, Execute execute,
         Rendezvous arrived = Rendezvous::none) {
  table[opcode] = {execute, arrived, unit};
}

// ---- Arithmetic --------------------------------------------------------------------------------
float flush(float x) { return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x; }

uint16_t bf16_nearest_even(float x) {
  if (std::isnan(x)) return 0x7fff;
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t below = bits & 0xffff, odd = bits >> 16 & 1;
  return uint16_t((bits >> 16) + (below + odd > 0x8000));
}

// a · b + c, rounded down.
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

void arithmetic_of_floats(Table& t) {
  for (const char* rounding : {"", ".rn"}) {  // ptxas may fuse operations without .rn into fma
    const std::string rn = rounding;
    add(t, "add" + rn + ".f32", Unit::fp32, of2<float, float>([](float a, float b) { return a + b; }));
    add(t, "sub" + rn + ".f32", Unit::fp32, of2<float, float>([](float a, float b) { return a - b; }));
    add(t, "mul" + rn + ".f32", Unit::fp32, of2<float, float>([](float a, float b) { return a * b; }));
    add(t, "add" + rn + ".f64", Unit::fp64, of2<double, double>([](double a, double b) { return a + b; }));
    add(t, "sub" + rn + ".f64", Unit::fp64, of2<double, double>([](double a, double b) { return a - b; }));
    add(t, "mul" + rn + ".f64", Unit::fp64, of2<double, double>([](double a, double b) { return a * b; }));
  }
  add(t, "fma.rn.f32", Unit::fp32,
      of3<float, float, float>([](float a, float b, float c) { return std::fma(a, b, c); }));
  add(t, "fma.rn.f64", Unit::fp64,
      of3<double, double, double>([](double a, double b, double c) { return std::fma(a, b, c); }));
  add(t, "fma.rm.f32", Unit::fp32, fma_down);
  add(t, "neg.f32", Unit::fp32, of1<float>([](float a) { return -a; }));
  add(t, "abs.f32", Unit::fp32, of1<float>([](float a) { return std::fabs(a); }));
  add(t, "abs.f64", Unit::fp64, of1<double>([](double a) { return std::fabs(a); }));
  add(t, "max.f32", Unit::fp32, of2<float, float>([](float a, float b) { return std::fmax(a, b); }));
  add(t, "min.f32", Unit::fp32, of2<float, float>([](float a, float b) { return std::fmin(a, b); }));
  add(t, "max.f64", Unit::fp64, of2<double, double>([](double a, double b) { return std::fmax(a, b); }));
  add(t, "div.rn.f32", Unit::special, of2<float, float>([](float a, float b) { return a / b; }));
  add(t, "div.rn.f64", Unit::fp64, of2<double, double>([](double a, double b) { return a / b; }));
  add(t, "rcp.rn.f32", Unit::special, of1<float>([](float a) { return 1 / a; }));
  add(t, "sqrt.rn.f32", Unit::special, of1<float>([](float a) { return std::sqrt(a); }));
  add(t, "sqrt.rn.f64", Unit::fp64, of1<double>([](double a) { return std::sqrt(a); }));
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

template <class T, class Wide>
void arithmetic_of(Table& t, const std::string& type) {
  add(t, "add." + type, Unit::integer, of2<T, T>([](T a, T b) { return T(Bits<T>(a) + Bits<T>(b)); }));
  add(t, "sub." + type, Unit::integer, of2<T, T>([](T a, T b) { return T(Bits<T>(a) - Bits<T>(b)); }));
  add(t, "mul.lo." + type, Unit::integer, of2<T, T>([](T a, T b) { return T(Bits<T>(a) * Bits<T>(b)); }));
  if constexpr (sizeof(Wide) <= 8) {
    add(t, "mul.wide." + type, Unit::integer, of2<T, T>([](T a, T b) { return Wide(Wide(a) * Wide(b)); }));
    add(t, "mul.hi." + type, Unit::integer,
        of2<T, T>([](T a, T b) { return T(Wide(Wide(a) * Wide(b)) >> 8 * sizeof(T)); }));
  }
  add(t, "mad.lo." + type, Unit::integer,
      of3<T, T, T>([](T a, T b, T c) { return T(Bits<T>(a) * Bits<T>(b) + Bits<T>(c)); }));
  add(t, "min." + type, Unit::integer, of2<T, T>([](T a, T b) { return a < b ? a : b; }));
  add(t, "max." + type, Unit::integer, of2<T, T>([](T a, T b) { return a > b ? a : b; }));
  add(t, "neg." + type, Unit::integer, of1<T>([](T a) { return T(0 - Bits<T>(a)); }));
  add(t, "shr." + type, Unit::integer, of2<T, uint32_t>(shift_right<T>));
  add(t, "div." + type, Unit::integer, of2<T, T>([](T a, T b) { return b ? T(a / b) : T(-1); }));
  add(t, "rem." + type, Unit::integer, of2<T, T>([](T a, T b) { return b ? T(a % b) : T(-1); }));
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

// ---- Memory ------------------------------------------------------------------------------------
enum class Space { global, constant, shared, parameter };  // constant: ld.global.nc, read-only

uint64_t address(Warp& w, const Instruction& i, Space space, int lane) {
  const uint64_t a = w.row(i.from[0])[lane] + uint64_t(i.offset);
  return space == Space::shared ? uint32_t(a) : a;
}
char* checked(Warp& w, const Instruction& i, Space space, int lane) {
  const uint64_t a = address(w, i, space, lane);
  return space == Space::shared ? w.block.shared(a, i.bytes * i.pieces, lane)
                                : w.block.global(a, i.bytes * i.pieces, lane);
}

void note_extent(Warp& w, const Instruction& i, Space space, int lane) {
  const uint64_t a = address(w, i, space, lane);
  w.block.extents[size_t(&i - w.block.kernel.code.data())].add({a, a + uint64_t(i.bytes * i.pieces)});
}

// Counts sectors or passes of an access. Shared memory serves 32 banks of 4 bytes a pass, equal words once; 8
// and 16 bytes a lane go by half and quarter warps.
void count_access(Warp& w, const Instruction& i, Space space, Mask mask) {
  if (!w.block.counting || space == Space::parameter || !mask) return;
  const int bytes = i.bytes * i.pieces;
  Counts& counts = w.block.counts;
  if (space != Space::shared) {
    std::vector<uint64_t> sectors, pieces;
    each(mask, [&](int l) {
      const uint64_t a = address(w, i, space, l);
      sectors.push_back(a / 32);
      pieces.push_back(a);
    });
    const auto distinct = [](std::vector<uint64_t>& v) {
      std::sort(v.begin(), v.end());
      return uint64_t(std::unique(v.begin(), v.end()) - v.begin());
    };
    counts.global_requests++;
    counts.global_sectors += distinct(sectors);
    counts.global_least += (distinct(pieces) * uint64_t(bytes) + 31) / 32;
    return;
  }
  counts.shared_requests++;
  const int together = bytes <= 4 ? 32 : 128 / bytes;
  for (int first = 0; first < lanes; first += together) {
    const Mask part = mask & Mask(((uint64_t(1) << together) - 1) << first);
    if (!part) continue;
    std::array<std::vector<uint64_t>, 32> words;  // by bank
    each(part, [&](int l) {
      const uint64_t a = address(w, i, space, l) / 4;
      for (uint64_t word = a; word < a + uint64_t(std::max(1, bytes / 4)); word++) {
        auto& bank = words[word % 32];
        if (std::find(bank.begin(), bank.end(), word) == bank.end()) bank.push_back(word);
      }
    });
    size_t passes = 1;
    for (const auto& bank : words) passes = std::max(passes, bank.size());
    counts.shared_passes += passes;
    counts.shared_least++;
  }
}

template <Space space, class T>
void load(Warp& w, const Instruction& i, Mask mask) {
  count_access(w, i, space, mask);
  each(mask, [&](int l) {
    const char* const from =
        space == Space::parameter ? w.block.parameters + address(w, i, space, l) : checked(w, i, space, l);
    if (space == Space::constant) note_extent(w, i, space, l);
    for (int k = 0; k < i.pieces; k++) {
      T value;
      std::memcpy(&value, from + k * int(sizeof(T)), sizeof(T));
      // Signed bytes are sign-extended, for reads as a wider type.
      w.row(i.to[size_t(k)])[l] = std::is_signed_v<T> && sizeof(T) < 4 ? put(int32_t(value)) : put(value);
    }
  });
}
template <Space space, class T>
void store(Warp& w, const Instruction& i, Mask mask) {
  count_access(w, i, space, mask);
  each(mask, [&](int l) {
    char* const to = checked(w, i, space, l);
    if (space == Space::global) note_extent(w, i, space, l);
    for (int k = 0; k < i.pieces; k++) {
      const T value = get<T>(w.row(i.from[size_t(1 + k)])[l]);
      std::memcpy(to + k * int(sizeof(T)), &value, sizeof(T));
    }
  });
}

template <class T>
void memory_of(Table& t, const std::string& type) {
  for (const auto& [infix, pieces] : {std::pair{".", 1}, {".v2.", 2}, {".v4.", 4}}) {
    const std::string end = infix + type;
    const int bytes = int(sizeof(T));
    t["ld.param" + end] = {load<Space::parameter, T>, Rendezvous::none, Unit::none, bytes, pieces};
    t["ld.global" + end] = {load<Space::global, T>, Rendezvous::none, Unit::global, bytes, pieces};
    t["ld.global.nc" + end] = {load<Space::constant, T>, Rendezvous::none, Unit::global, bytes, pieces};
    t["ld.shared" + end] = {load<Space::shared, T>, Rendezvous::none, Unit::shared, bytes, pieces};
    t["st.global" + end] = {store<Space::global, T>, Rendezvous::none, Unit::global, bytes, pieces};
    t["st.shared" + end] = {store<Space::shared, T>, Rendezvous::none, Unit::shared, bytes, pieces};
  }
}

void atomic_add(Warp& w, const Instruction& i, Mask mask) {
  each(mask, [&](int l) {
    auto* const cell = reinterpret_cast<uint32_t*>(checked(w, i, Space::global, l));
    w.row(i.to[0])[l] = __atomic_fetch_add(cell, uint32_t(w.row(i.from[1])[l]), __ATOMIC_SEQ_CST);
  });
}

// An atomic without a result: nvcc 12 emits red where nvcc 13 emits atom.
void atomic_add_only(Warp& w, const Instruction& i, Mask mask) {
  each(mask, [&](int l) {
    auto* const cell = reinterpret_cast<uint32_t*>(checked(w, i, Space::global, l));
    __atomic_fetch_add(cell, uint32_t(w.row(i.from[1])[l]), __ATOMIC_SEQ_CST);
  });
}

// cp.async copies when the lane waits for its group; until then the target holds NaNs.
void copy_later(Warp& w, const Instruction& i, Mask mask) {
  each(mask, [&](int l) {
    const auto to = unsigned(uint32_t(w.row(i.from[0])[l]) + uint32_t(i.offset));
    std::memset(w.block.shared(to, i.bytes, l), 0xff, size_t(i.bytes));
    w.copies[l].open.push_back(
        {to, w.block.global(w.row(i.from[1])[l] + uint64_t(i.second_offset), i.bytes, l), i.bytes});
  });
  if (!w.block.counting) return;
  count_access(w, i, Space::shared, mask);
  Instruction from = i;
  from.from = {i.from[1]}, from.offset = i.second_offset;
  count_access(w, from, Space::global, mask);
}
void close_group(Warp& w, const Instruction&, Mask mask) {
  each(mask,
       [&](int l) { w.copies[l].groups.push_back(std::move(w.copies[l].open)), w.copies[l].open.clear(); });
}
void wait_for_groups(Warp& w, const Instruction& i, Mask mask) {
  each(mask, [&](int l) {
    auto& groups = w.copies[l].groups;
    for (const uint64_t may_wait = w.row(i.from[0])[l]; groups.size() > may_wait;
         groups.erase(groups.begin()))
      for (const auto& copy : groups.front())
        std::memcpy(w.block.shared(copy.to, copy.bytes, l), copy.from, size_t(copy.bytes));
  });
}

// ---- Between lanes -----------------------------------------------------------------------------
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

// ldmatrix: four 8x8 matrices of 16-bit elements; lane l passes the address of row l % 8 of matrix l / 8.
// From each, lane l receives elements 2(l % 4) and 2(l % 4) + 1 of row l / 4; transposed, of column l / 4.
template <bool Transposed>
void load_matrices(Warp& w, const Instruction& i, Mask mask) {
  uint16_t m[4][8][8];
  each(mask, [&](int l) { std::memcpy(m[l / 8][l % 8], checked(w, i, Space::shared, l), 16); });
  count_access(w, i, Space::shared, mask);
  each(mask, [&](int l) {
    const int major = l / 4, minor = 2 * (l % 4);
    for (int k = 0; k < 4; k++) {
      const uint32_t low = Transposed ? m[k][minor][major] : m[k][major][minor];
      const uint32_t high = Transposed ? m[k][minor + 1][major] : m[k][major][minor + 1];
      w.row(i.to[size_t(k)])[l] = high << 16 | low;
    }
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

// c + Σ a[k]·b[k] over eight k, as on tensor cores (Fasi, Higham, Mikaitis and Pranesh 2021, "Numerical
// behavior of NVIDIA tensor cores"). Products are exact. All nine terms are truncated to a common exponent,
// one bit beyond a float's, and added exactly; the sum is truncated to a float. GPUs differ in the number of
// terms and bits.
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
  int64_t sum = cut(c_significand << 1, c_exponent) * (c_bits >> 31 ? -1 : 1);
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

// mma.m16n8k16: d = a · b + c with a 16x16, b 16x8, c and d 16x8. Lane 4g + t holds (PTX ISA, "Matrix
// Fragments for mma.m16n8k16")
//   a: rows g and g + 8 of columns 2t, 2t + 1, then of columns 2t + 8, 2t + 9;
//   b: rows 2t, 2t + 1, then 2t + 8, 2t + 9, of column g;
//   c, d: row g, then g + 8, of columns 2t, 2t + 1.
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

void nothing(Warp&, const Instruction&, Mask) {}

const Table& table() {
  static const Table all = [] {
    Table t;
    arithmetic_of_floats(t);
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
    memory_of<int8_t>(t, "s8"), memory_of<uint8_t>(t, "u8"), memory_of<uint8_t>(t, "b8");
    for (const char* type : {"u16", "b16"}) memory_of<uint16_t>(t, type);
    for (const char* type : {"u32", "s32", "b32", "f32"}) memory_of<uint32_t>(t, type);
    for (const char* type : {"u64", "s64", "b64", "f64"}) memory_of<uint64_t>(t, type);
    // cvta is the identity: global addresses are generic, shared ones are used only as shared.
    for (const char* cvta : {"cvta.to.global.u64", "cvta.shared.u64", "cvta.to.shared.u64"})
      add(t, cvta, Unit::none, of1<uint64_t>([](uint64_t a) { return a; }));
    t["atom.global.add.u32"] = {atomic_add, Rendezvous::none, Unit::global, 4, 1};
    t["red.global.add.u32"] = {atomic_add_only, Rendezvous::none, Unit::global, 4, 1};
    t["cp.async.cg.shared.global"] = {copy_later, Rendezvous::none, Unit::global, 16, 1};
    add(t, "cp.async.commit_group", Unit::none, close_group);
    add(t, "cp.async.wait_group", Unit::none, wait_for_groups);
    add(t, "shfl.sync.bfly.b32", Unit::shuffle, shuffle<'b'>, Rendezvous::shuffle);
    add(t, "shfl.sync.down.b32", Unit::shuffle, shuffle<'d'>, Rendezvous::shuffle);
    add(t, "shfl.sync.up.b32", Unit::shuffle, shuffle<'u'>, Rendezvous::shuffle);
    add(t, "shfl.sync.idx.b32", Unit::shuffle, shuffle<'i'>, Rendezvous::shuffle);
    add(t, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", Unit::mma, multiply_matrices,
        Rendezvous::aligned);
    t["ldmatrix.sync.aligned.m8n8.x4.shared.b16"] = {load_matrices<false>, Rendezvous::aligned, Unit::shared,
                                                     16, 1};
    t["ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16"] = {load_matrices<true>, Rendezvous::aligned,
                                                           Unit::shared, 16, 1};
    add(t, "bar.sync", Unit::control, nothing, Rendezvous::barrier);
    add(t, "bar.warp.sync", Unit::control, nothing, Rendezvous::warp_barrier);
    add(t, "bra", Unit::control, nothing, Rendezvous::branch),
        add(t, "bra.uni", Unit::control, nothing, Rendezvous::branch);
    add(t, "ret", Unit::control, nothing, Rendezvous::end);
    return t;
  }();
  return all;
}

}  // namespace

const Known* known(const std::string& opcode) {
  const auto found = table().find(opcode);
  return found == table().end() ? nullptr : &found->second;
}

}  // namespace ptx
