// The table of instructions, and what those that work lane by lane share. Internal to the interpreter.
#pragma once
#include <bit>
#include <cstdint>
#include <string>
#include <type_traits>
#include <unordered_map>

#include "block.h"

namespace ptx {

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

inline void add(Table& table, const std::string& opcode, Unit unit, Execute execute,
                Rendezvous arrived = Rendezvous::none) {
  table[opcode] = {execute, arrived, unit};
}

void add_arithmetic(Table& table);
void add_memory(Table& table);       // loads, stores, atomics, asynchronous copies, ldmatrix
void add_collectives(Table& table);  // shuffles, mma

}  // namespace ptx
