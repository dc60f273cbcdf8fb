// Reference dropout (see kernels.h): 16 Philox bits per element against the rate in units of 2⁻¹⁶.
#pragma once
#include <cmath>

#include "kernels/kernels.h"
#include "kernels/philox.h"

namespace warpbert::test {

// Factor of an element of rows of `columns`: 0 if dropped, else 1/(1 − rate).
inline double dropout_factor(const kernels::Dropout& dropout, uint64_t element, uint64_t columns) {
  if (dropout.rate == 0) return 1;
  const auto [seed, pass, first_row] = *dropout.random;
  element += first_row * columns;
  const uint32_t word = random4(seed, pass, dropout.site, element / 8).v[element % 8 / 2];
  const double rate = std::round(double(dropout.rate) * 65536) / 65536;
  return (element % 2 ? word >> 16 : word & 0xffff) / 65536.0 >= rate ? 1 / (1 - rate) : 0;
}

}  // namespace warpbert::test
