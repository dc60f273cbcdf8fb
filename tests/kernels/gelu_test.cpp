#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <tuple>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"
#include "tests/support/rows.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

// Rows around a block's 32, columns around a warp's 256.
struct Shape {
  int rows, capacity, columns;
};
constexpr Shape shapes[] = {{1, 1, 8},     {0, 5, 64},     {31, 33, 256},
                            {33, 64, 264}, {70, 100, 520}, {3, 40, 3072}};

template <class T>
std::string describe(Shape s) {
  return std::to_string(s.rows) + " rows of " + std::to_string(s.capacity) + ", columns " +
         std::to_string(s.columns) + (sizeof(T) == 2 ? ", bf16" : ", float");
}

double cdf(double u) { return std::erfc(-u / std::sqrt(2.0)) / 2; }
double density(double u) { return std::exp(-u * u / 2) / std::sqrt(2 * 3.14159265358979323846); }

template <class T>
void check(Shape shape, bool in_place) {
  INFO(describe<T>(shape), ", in place ", in_place);
  const int n = shape.rows, capacity = shape.capacity, columns = shape.columns;
  const size_t real = size_t(n) * columns, all = size_t(capacity) * columns;
  const auto bias = normal<float>(columns, 1, 0, 2);
  const auto incoming = poisoned(normal<T>(real, 1, 0.2f, 3), all);
  Buffer<int> count(std::vector{n});
  Buffer<float> b(bias), partials(size_t(kernels::partial_blocks(capacity)) * columns);
  Buffer<T> x(poisoned(normal<T>(real, 2), all)), y(all), dy(incoming), separate(all);
  Buffer<T>& dx = in_place ? dy : separate;
  const auto of = [&](Buffer<T>& a) { return view(a, {capacity, count}, columns); };
  kernels::bias_gelu_forward(nullptr, of(y), of(x), b);
  kernels::bias_gelu_backward(nullptr, of(dx), partials, of(dy), of(x), b);
  const auto sums = finished(partials, kernels::partial_blocks(capacity), 1, columns);

  Worst value, gradient, parameters;
  std::vector<double> dbias(columns);
  for (size_t i = 0; i < real; i++) {
    const double u = double(to_float(x[i])) + bias[i % columns];
    const double d = to_float(incoming[i]) * (cdf(u) + u * density(u));
    value.add(to_float(y[i]), u * cdf(u));
    gradient.add(to_float(dx[i]), d);
    dbias[i % columns] += d;
  }
  for (int c = 0; c < columns; c++) parameters.add(sums[0][c], dbias[c]);
  CHECK(value.value < tolerance<T>);
  CHECK(gradient.value < tolerance<T>);
  CHECK(parameters.value < tolerance<float>);
  CHECK(nonzero(y, real, all) + nonzero(dx, real, all) == 0);
}

}  // namespace

TEST_CASE("bias_gelu: forward and backward, dx beside dy and over it") {
  for (const Shape shape : shapes)
    for (const bool in_place : {false, true}) check<float>(shape, in_place), check<bf16>(shape, in_place);
}

TEST_CASE("bias_gelu: the whole range of u, to where Φ is 0 and 1") {
  // Φ has errors of 0.75·10⁻⁷ (approximation) and 0.6·10⁻⁷ (rounding near 1), multiplied by |u| < 4 until Φ
  // saturates at 0 or 1.
  const int n = 4001;
  std::vector<float> u(8 * n);
  for (int i = 0; i < 8 * n; i++) u[i] = (i - 4 * n) * (40.0f / n) / 8;  // −20 … 20
  u[0] = -1e4f, u[1] = 1e4f, u[2] = -1e30f, u[3] = 1e30f;
  Buffer<int> count(std::vector{n});
  Buffer<float> x(u), y(8 * n), dx(8 * n), bias(std::vector<float>(8, 0)), dy(std::vector<float>(8 * n, 1)),
      partials(size_t(kernels::partial_blocks(n)) * 8);
  const auto of = [&](Buffer<float>& a) { return view(a, {n, count}, 8); };
  kernels::bias_gelu_forward(nullptr, of(y), of(x), bias);
  kernels::bias_gelu_backward(nullptr, of(dx), partials, of(dy), of(x), bias);
  synchronize();
  Worst value, gradient;
  for (int i = 4; i < 8 * n; i++) {
    value.add(y[i], u[i] * cdf(u[i]));
    gradient.add(dx[i], cdf(u[i]) + u[i] * density(u[i]));
  }
  CHECK(value.value < 5e-7);
  CHECK(gradient.value < 5e-7);
  for (const int i : {0, 2}) CHECK(y[i] == 0);
  for (const int i : {1, 3}) CHECK(y[i] == u[i]);
  for (const int i : {0, 1, 2, 3}) CHECK(dx[i] == float(i % 2));
}

TEST_CASE("bias_gelu: the same bits in every capacity") {
  const int n = 45, columns = 264;
  const size_t real = size_t(n) * columns;
  const auto run = [&](int capacity) {
    const size_t all = size_t(capacity) * columns;
    Buffer<int> count(std::vector{n});
    Buffer<float> bias(normal<float>(columns)), partials(size_t(kernels::partial_blocks(capacity)) * columns);
    Buffer<bf16> x(poisoned(normal<bf16>(real), all)), y(all), dx(all);
    const auto of = [&](Buffer<bf16>& a) { return view(a, {capacity, count}, columns); };
    kernels::bias_gelu_forward(nullptr, of(y), of(x), bias);
    kernels::bias_gelu_backward(nullptr, of(dx), partials, of(y), of(x), bias);
    return std::tuple(finished(partials, kernels::partial_blocks(capacity), 1, columns), bits(y, real),
                      bits(dx, real));
  };
  const auto tight = run(n);
  CHECK(run(n + 1) == tight);
  CHECK(run(64) == tight);
  CHECK(run(700) == tight);
}

TEST_CASE("bias_gelu: sizes it cannot do are refused by name") {
  Buffer<int> count(std::vector{1});
  Buffer<float> a(64);
  for (const int columns : {0, 4, 12}) {
    const auto x = view(a, {1, count}, columns);
    CHECK_THROWS_WITH_AS(kernels::bias_gelu_forward(nullptr, x, x, a), doctest::Contains("bias_gelu_forward"),
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(kernels::bias_gelu_backward(nullptr, x, a, x, x, a),
                         doctest::Contains("bias_gelu_backward"), std::invalid_argument);
  }
  const auto one = view(a, {1, count}, 8), two = view(a, {2, count}, 8);
  CHECK_THROWS_WITH_AS(kernels::bias_gelu_forward(nullptr, one, two, a),
                       "bias_gelu_forward: [2, 8] and [1, 8] differ in rows", std::invalid_argument);
  CHECK_THROWS_WITH_AS(kernels::bias_gelu_backward(nullptr, two, a, one, two, a),
                       "bias_gelu_backward: [2, 8] and [1, 8] differ in rows", std::invalid_argument);
}
