// atomicAdd of float and double, which CUDA has and the simulator's language leaves out: no shipped kernel
// may depend on the order of its threads.
#pragma once
#include "simt/simt.h"

#ifndef __CUDACC__
template <class Float, class Bits>
Float atomic_add(Float* p, Float x) {
  Bits* const bits = reinterpret_cast<Bits*>(p);
  Bits old = __atomic_load_n(bits, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(bits, &old, std::bit_cast<Bits>(std::bit_cast<Float>(old) + x), false,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  return std::bit_cast<Float>(old);
}
inline float atomicAdd(float* p, float x) { return atomic_add<float, uint32_t>(p, x); }
inline double atomicAdd(double* p, double x) { return atomic_add<double, uint64_t>(p, x); }
#endif
