#include <doctest/doctest.h>

#include <stdexcept>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"

using namespace warpbert;
using namespace warpbert::test;

TEST_CASE_TEMPLATE("perturb: a step of length epsilon along the gradient", T, float, bf16) {
  for (size_t n : {1, 7, 8, 31, 33, 2048, 2051}) {
    const auto x = normal<float>(n, 0.02f), g = normal<float>(n, 1e-4f, 0, 2);
    double square = 0, moved = 0;
    for (float v : g) square += double(v) * v;
    Buffer<float> from(x), gradient(g);
    Buffer<double> squared_norm(std::vector<double>{square});
    Buffer<T> y(n + 1);
    const auto poison = y[n];
    kernels::perturb(nullptr, kernels::view(y.data(), {1}, int(n)), from, gradient, squared_norm, 0.5f);
    synchronize();
    Worst worst;
    for (size_t i = 0; i < n; i++) {
      const double expected = x[i] + 0.5 * g[i] / std::sqrt(square);
      worst.add(to_float(y[i]), expected, 1e-3);
      moved += std::pow(to_float(y[i]) - double(x[i]), 2);
    }
    CHECK(worst.value < (sizeof(T) == 2 ? 1 / 256.0 : 1e-5));  // half a bf16 ulp; float: 2⁻²⁴ of 0.1
    CHECK(std::sqrt(moved) == doctest::Approx(0.5).epsilon(sizeof(T) == 2 ? 0.01 : 1e-5));
    CHECK(std::memcmp(&y[n], &poison, sizeof(T)) == 0);
  }
}

TEST_CASE("perturb: without a gradient nothing moves") {
  Buffer<float> x(std::vector<float>{1, -2, 3}), g(std::vector<float>(3, 0.0f)), y(3);
  Buffer<double> squared_norm(std::vector<double>{0});
  kernels::perturb(nullptr, kernels::view(y.data(), {1}, 3), x, g, squared_norm, 0.5f);
  synchronize();
  CHECK(y.vector() == x.vector());
  CHECK_THROWS_WITH_AS(kernels::perturb(nullptr, kernels::view(y.data(), {1}, 3), x, g, squared_norm, -1),
                       "perturb: epsilon = -1", std::invalid_argument);
}
