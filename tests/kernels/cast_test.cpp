#include <doctest/doctest.h>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"

using namespace warpbert;
using namespace warpbert::test;

TEST_CASE("cast: rounds to nearest, ties to even, at every length") {
  for (size_t n : {size_t(1), size_t(7), size_t(8), size_t(31), size_t(2049), size_t(100003)}) {
    const auto values = normal<float>(n);
    Buffer<float> x(values), back(n);
    Buffer<bf16> y(n);
    kernels::cast(nullptr, y.data(), x.data(), n);
    kernels::cast(nullptr, back.data(), y.data(), n);
    synchronize();
    int wrong = 0;
    for (size_t i = 0; i < n; i++) {
      // Round to nearest even, computed in double.
      const uint32_t u = std::bit_cast<uint32_t>(values[i]) & 0xffff0000u;
      const float down = std::bit_cast<float>(u), up = std::bit_cast<float>(u + 0x10000);
      const double a = std::abs(double(values[i]) - down), b = std::abs(double(up) - values[i]);
      const float expected = a < b || (a == b && !(u >> 16 & 1)) ? down : up;
      wrong += back[i] != expected;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("swap: two arrays trade their values, at every length, and nothing beyond") {
  for (size_t n : {size_t(0), size_t(1), size_t(8), size_t(31), size_t(2049)}) {
    const auto x = normal<float>(n + 8, 1, 0, 1), y = normal<float>(n + 8, 1, 0, 2);
    Buffer<float> a(x), b(y);
    kernels::swap(nullptr, a, b, n);
    synchronize();
    for (size_t i = 0; i < n + 8; i++) CHECK((a[i] == (i < n ? y : x)[i] && b[i] == (i < n ? x : y)[i]));
  }
}

TEST_CASE("add: sums of floats, at every length, and nothing beyond") {
  for (size_t n : {size_t(0), size_t(1), size_t(8), size_t(31), size_t(2049), size_t(6143)}) {
    const auto x = normal<float>(n + 8, 1, 0, 1), y = normal<float>(n + 8, 1, 0, 2);
    Buffer<float> a(x), b(y);
    kernels::add(nullptr, a, b, n);
    synchronize();
    for (size_t i = 0; i < n + 8; i++) CHECK((a[i] == (i < n ? x[i] + y[i] : x[i]) && b[i] == y[i]));
  }
}
