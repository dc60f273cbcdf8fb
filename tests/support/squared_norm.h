// Checks of a launcher of squared_norm: of the shipped kernel (tests/kernels/reduce_test.cpp), and of the
// rungs of its ladder (tests/study/ladders_test.cpp).
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"

namespace warpbert::test {

struct SquaredNormCheck {
  void (*launcher)(kernels::Stream, double* out, double* workspace, const float* x, size_t n);
  double tolerance;  // relative

  double run(const std::vector<float>& values) const {
    Buffer<float> x(values);
    Buffer<double> out(1), workspace(kernels::squared_norm_workspace());
    launcher(nullptr, out, workspace, x, values.size());
    synchronize();
    return out[0];
  }

  // Lengths around one iteration of the largest grid (512 blocks, 256 threads, 8 values each), and all tails.
  void every_length() const {
    const size_t turn = 512 * 256 * 8;
    for (size_t n : {size_t(0), size_t(1), size_t(2), size_t(3), size_t(4), size_t(31), size_t(33),
                     size_t(100003), turn - 1, turn + 31}) {
      const auto x = normal<float>(n, 2, 1);
      long double expected = 0;
      for (float v : x) expected += (long double)v * v;
      CHECK(std::abs(run(x) - double(expected)) <= tolerance * double(expected));
    }
  }

  // One nonzero element at the borders of threads, blocks, iterations and tails.
  void every_element_once() const {
    for (size_t n : {1, 5, 1023, 1024, 1025, 2047, 2048, 1048607})
      for (size_t at : {size_t(0), n / 2, n - 1}) {
        std::vector<float> x(n, 0.0f);
        x[std::min(at, n - 1)] = 3;
        CHECK(run(x) == 9);
      }
  }

  void double_accumulation() const {
    std::vector<float> x(1 << 16, 1.0f);
    x[100] = 16384;  // squared 2²⁸; in float 2²⁸ + 1 = 2²⁸
    CHECK(run(x) == 268435456.0 + 65535);
    const double large = 1e30f, small = 1e-30f;  // squares fit a double, not a float
    CHECK(run({1e30f, 1e-30f}) == large * large);
    CHECK(run({1e-30f}) == small * small);
  }

  void not_a_number() const {
    for (size_t at : {0, 999, 1002}) {
      std::vector<float> x(1003, 1.0f);
      x[at] = NAN;
      CHECK(std::isnan(run(x)));
      x[at] = INFINITY;
      CHECK(run(x) == INFINITY);
    }
  }
};

}  // namespace warpbert::test
