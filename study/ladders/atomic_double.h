// atomicAdd of double, which CUDA has and the simulator's language leaves out: no shipped kernel may depend on
// the order of its threads.
#pragma once
#include "simt/simt.h"

#ifndef __CUDACC__
inline double atomicAdd(double* p, double x) {
  uint64_t* const bits = reinterpret_cast<uint64_t*>(p);
  uint64_t old = __atomic_load_n(bits, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(bits, &old, std::bit_cast<uint64_t>(std::bit_cast<double>(old) + x),
                                      false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  return std::bit_cast<double>(old);
}
#endif
