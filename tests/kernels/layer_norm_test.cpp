#include <doctest/doctest.h>

#include <string>
#include <tuple>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"
#include "tests/support/dropout.h"
#include "tests/support/layer_norm.h"
#include "tests/support/rows.h"

using namespace warpbert;
using namespace warpbert::test;
using kernels::Dropout;
using kernels::RandomState;
using kernels::Rows;

namespace {

// ---- Checks -----------------------------------------------------------------------------------------------
template <class T>
void check_forward(Shape shape, float rate) {
  const auto [n, capacity, hidden] = shape;
  INFO(describe<T>(shape), ", rate ", rate);
  const size_t real = size_t(n) * hidden, all = size_t(capacity) * hidden;
  const auto gamma = normal<float>(hidden, 1, 1, 2), beta = normal<float>(hidden, 1, 0, 3);
  Buffer<RandomState> random(std::vector{random_state});
  const Dropout dropout{rate, 5, rate > 0 ? random.data() : nullptr};
  Buffer<int> count(std::vector{n});
  Buffer<T> x(poisoned(normal<T>(real, 2, 0.5f), all)), y(all);
  Buffer<float> mean(capacity), rstd(capacity), g(gamma), b(beta);
  const Rows rows{capacity, count};
  kernels::layer_norm_forward(nullptr, view(y, rows, hidden),
                              {view(x, rows, hidden), mean, rstd, g, b, epsilon, dropout});
  synchronize();

  Worst statistics, result;
  for (int r = 0; r < n; r++) {
    const Moments m = moments(&x[size_t(r) * hidden], hidden);
    statistics.add(mean[r], m.mean), statistics.add(rstd[r], m.rstd);
    for (int c = 0; c < hidden; c++) {
      const size_t i = size_t(r) * hidden + c;
      const double expected = gamma[c] * (to_float(x[i]) - m.mean) * m.rstd + beta[c];
      result.add(to_float(y[i]), dropout_factor(dropout, i, hidden) * expected);
    }
  }
  CHECK(statistics.value < tolerance<float>);
  CHECK(result.value < tolerance<T>);
  CHECK(nonzero(y, real, all) == 0);
  CHECK(nonzero(mean, n, capacity) + nonzero(rstd, n, capacity) == 0);
}

template <class T>
void check_sublayer_forward(Shape shape, float rate, bool in_place) {
  const auto [n, capacity, hidden] = shape;
  INFO(describe<T>(shape), ", rate ", rate, ", in place ", in_place);
  const size_t real = size_t(n) * hidden, all = size_t(capacity) * hidden;
  const auto gamma = normal<float>(hidden, 1, 1, 2), beta = normal<float>(hidden, 1, 0, 3),
             bias = normal<float>(hidden, 1, 0, 7);
  const auto input = poisoned(normal<T>(real, 2, 0.5f), all);
  Buffer<RandomState> random(std::vector{random_state});
  const Dropout dropout{rate, 5, rate > 0 ? random.data() : nullptr};
  Buffer<int> count(std::vector{n});
  Buffer<T> x(input), residual(poisoned(normal<T>(real, 1, 0, 8), all)), separate(all), y(all);
  Buffer<T>& h = in_place ? x : separate;
  Buffer<float> mean(capacity), rstd(capacity), g(gamma), b(beta), add(bias);
  const Rows rows{capacity, count};
  kernels::add_dropout_norm_forward(nullptr, view(y, rows, hidden), view(x, rows, hidden), add,
                                    view(residual, rows, hidden),
                                    {view(h, rows, hidden), mean, rstd, g, b, epsilon, dropout});
  synchronize();

  Worst sum, statistics, result;
  for (int r = 0; r < n; r++) {
    const Moments m = moments(&h[size_t(r) * hidden], hidden);  // of the stored, rounded h
    statistics.add(mean[r], m.mean), statistics.add(rstd[r], m.rstd);
    for (int c = 0; c < hidden; c++) {
      const size_t i = size_t(r) * hidden + c;
      sum.add(to_float(h[i]), to_float(residual[i]) + dropout_factor(dropout, i, hidden) *
                                                          (double(to_float(input[i])) + bias[c]));
      result.add(to_float(y[i]), gamma[c] * (to_float(h[i]) - m.mean) * m.rstd + beta[c]);
    }
  }
  CHECK(sum.value < tolerance<T>);
  CHECK(statistics.value < tolerance<float>);
  CHECK(result.value < tolerance<T>);
  CHECK(nonzero(h, real, all) + nonzero(y, real, all) == 0);
  CHECK(nonzero(mean, n, capacity) + nonzero(rstd, n, capacity) == 0);
}

template <class T>
void check_sublayer_backward(Shape shape, float rate, bool accumulate, bool in_place) {
  const auto [n, capacity, hidden] = shape;
  INFO(describe<T>(shape), ", rate ", rate, ", accumulate ", accumulate, ", in place ", in_place);
  const size_t real = size_t(n) * hidden, all = size_t(capacity) * hidden;
  const auto gamma = normal<float>(hidden, 1, 1, 2);
  const auto before = poisoned(normal<T>(real, 1, 0, 6), all),
             incoming = poisoned(normal<T>(real, 1, 0.2f, 4), all);
  Buffer<RandomState> random(std::vector{random_state});
  const Dropout dropout{rate, 5, rate > 0 ? random.data() : nullptr};
  Buffer<int> count(std::vector{n});
  Buffer<T> h(poisoned(normal<T>(real, 2, 0.5f), all)), dy(incoming), separate(all), dresidual(all);
  Buffer<T>& dx = in_place ? dy : separate;
  if (accumulate) std::copy(before.begin(), before.end(), dresidual.data());
  Buffer<float> mean(capacity), rstd(capacity), g(gamma),
      partials(size_t(kernels::norm_blocks(capacity)) * 3 * hidden);
  for (int r = 0; r < n; r++) {
    const Moments m = moments(&h[size_t(r) * hidden], hidden);
    mean[r] = float(m.mean), rstd[r] = float(m.rstd);
  }
  const Rows rows{capacity, count};
  kernels::add_dropout_norm_backward(
      nullptr, view(dx, rows, hidden), {view(dresidual, rows, hidden), mode(accumulate)}, partials,
      view(dy, rows, hidden), {view(h, rows, hidden), mean, rstd, g, nullptr, epsilon, dropout});
  const auto sums = finished(partials, kernels::norm_blocks(capacity), 3, hidden);

  Worst gradient, parameters;
  std::vector<double> dgamma(hidden), dbeta(hidden), dbias(hidden), gy(hidden), hhat(hidden);
  for (int r = 0; r < n; r++) {
    for (int c = 0; c < hidden; c++) {
      const size_t i = size_t(r) * hidden + c;
      gy[c] = to_float(incoming[i]);
      hhat[c] = (to_float(h[i]) - double(mean[r])) * rstd[r];
      dgamma[c] += gy[c] * hhat[c], dbeta[c] += gy[c];
    }
    const auto dh = row_gradient(gy, hhat, gamma, rstd[r]);
    for (int c = 0; c < hidden; c++) {
      const size_t i = size_t(r) * hidden + c;
      const double dropped = dropout_factor(dropout, i, hidden) * dh[c];
      gradient.add(to_float(dresidual[i]), dh[c] + (accumulate ? to_float(before[i]) : 0));
      gradient.add(to_float(dx[i]), dropped);
      dbias[c] += dropped;
    }
  }
  for (int c = 0; c < hidden; c++) {
    parameters.add(sums[0][c], dgamma[c]), parameters.add(sums[1][c], dbeta[c]);
    parameters.add(sums[2][c], dbias[c]);
  }
  CHECK(gradient.value < tolerance<T>);
  CHECK(parameters.value < tolerance<float>);
  CHECK(nonzero(dx, real, all) + nonzero(dresidual, real, all) == 0);
}

}  // namespace

TEST_CASE("layer_norm_forward: float and bf16, with and without dropout") {
  for (const Shape shape : shapes)
    for (const float rate : {0.0f, 0.1f}) check_forward<float>(shape, rate), check_forward<bf16>(shape, rate);
}

TEST_CASE("layer_norm_backward: = and +=, with and without dropout") {
  for (const Shape shape : shapes)
    for (const float rate : {0.0f, 0.1f})
      for (const bool accumulate : {false, true})
        check_backward<float>(shape, rate, accumulate), check_backward<bf16>(shape, rate, accumulate);
}

TEST_CASE("add_dropout_norm_forward: h beside x and over it") {
  for (const Shape shape : shapes)
    for (const float rate : {0.0f, 0.1f})
      for (const bool in_place : {false, true})
        check_sublayer_forward<float>(shape, rate, in_place),
            check_sublayer_forward<bf16>(shape, rate, in_place);
}

TEST_CASE("add_dropout_norm_backward: = and +=, dx beside dy and over it") {
  for (const Shape shape : shapes)
    for (const float rate : {0.0f, 0.1f})
      for (const bool accumulate : {false, true}) {
        const bool in_place = accumulate != (shape.rows % 2 == 0);  // all combinations, across the shapes
        check_sublayer_backward<float>(shape, rate, accumulate, in_place);
        check_sublayer_backward<bf16>(shape, rate, accumulate, in_place);
      }
}

TEST_CASE("layer_norm_forward: a mean far from zero costs its rounding, not its square's") {
  // Mean 1000, deviation 1: E[x²] − mean² in float would err by 1000²·2⁻²⁴ = 6 %. A few roundings of the
  // mean, 1000·2⁻²⁴ each, stay below 1e-3.
  const int rows = 5, hidden = 768;
  Buffer<int> count(std::vector{rows});
  Buffer<float> x(normal<float>(rows * hidden, 1, 1000)), y(rows * hidden), mean(rows), rstd(rows),
      gamma(std::vector<float>(hidden, 1)), beta(std::vector<float>(hidden, 0));
  kernels::layer_norm_forward(nullptr, view(y, {rows, count}, hidden),
                              {view(x, {rows, count}, hidden), mean, rstd, gamma, beta, epsilon, {}});
  synchronize();
  Worst result;
  for (int i = 0; i < rows * hidden; i++) {
    const Moments m = moments(&x[i / hidden * hidden], hidden);
    result.add(y[i], (x[i] - m.mean) * m.rstd);
  }
  CHECK(result.value < 1e-3);
}

TEST_CASE("layer_norm: a constant row becomes β, and its gradient is finite") {
  const int hidden = 40;
  const auto expected = normal<float>(hidden, 1, 0, 3);
  Buffer<int> count(std::vector{1});
  Buffer<float> x(std::vector<float>(hidden, 0.25f)), y(hidden), dx(hidden), mean(1), rstd(1),
      partials(2 * hidden), gamma(normal<float>(hidden, 1, 0, 2)), beta(expected),
      dy(normal<float>(hidden, 1, 0, 4));
  const Rows rows{1, count};
  const kernels::NormArgs args{view(x, rows, hidden), mean, rstd, gamma, beta, 1e-12f, {}};
  kernels::layer_norm_forward(nullptr, view(y, rows, hidden), args);
  kernels::layer_norm_backward(nullptr, {view(dx, rows, hidden)}, partials, view(dy, rows, hidden), args);
  synchronize();
  for (int c = 0; c < hidden; c++) {
    CHECK(y[c] == expected[c]);
    CHECK(std::isfinite(dx[c]));
  }
}

TEST_CASE("layer_norm: the same bits in every capacity") {
  const int n = 21, hidden = 264;
  const size_t real = size_t(n) * hidden;
  const auto run = [&](int capacity) {
    const size_t all = size_t(capacity) * hidden;
    Buffer<RandomState> random(std::vector{random_state});
    const Dropout dropout{0.1f, 5, random};
    Buffer<int> count(std::vector{n});
    const Rows rows{capacity, count};
    Buffer<bf16> x(poisoned(normal<bf16>(real), all)), residual(poisoned(normal<bf16>(real, 1, 0, 2), all)),
        h(all), y(all), dx(all), dresidual(all);
    Buffer<float> mean(capacity), rstd(capacity), gamma(normal<float>(hidden, 1, 1)),
        beta(normal<float>(hidden)), bias(normal<float>(hidden)),
        partials(size_t(kernels::norm_blocks(capacity)) * 3 * hidden);
    const auto of = [&](Buffer<bf16>& b) { return view(b, rows, hidden); };
    kernels::NormArgs args{of(h), mean, rstd, gamma, beta, epsilon, dropout};
    kernels::add_dropout_norm_forward(nullptr, of(y), of(x), bias, of(residual), args);
    kernels::add_dropout_norm_backward(nullptr, of(dx), {of(dresidual)}, partials, of(y), args);
    auto sums = finished(partials, kernels::norm_blocks(capacity), 3, hidden);
    args.x = of(x);
    kernels::layer_norm_backward(nullptr, {of(h), kernels::Grad::accumulate}, partials, of(dx), args);
    for (auto& s : finished(partials, kernels::norm_blocks(capacity), 2, hidden)) sums.push_back(s);
    return std::tuple(bits(h, real), bits(y, real), bits(dx, real), bits(dresidual, real), bits(mean, n),
                      sums);
  };
  const auto tight = run(n);
  CHECK(run(n + 1) == tight);
  CHECK(run(24) == tight);
  CHECK(run(1000) == tight);
}

TEST_CASE("layer_norm: what it cannot do is refused by name") {
  Buffer<int> count(std::vector{1});
  Buffer<float> a(2048);
  Buffer<RandomState> random(1);
  const auto forward = [&](int hidden, Dropout dropout) {
    const auto x = view(a, {1, count}, hidden);
    kernels::layer_norm_forward(nullptr, x, {x, a, a, a, a, epsilon, dropout});
  };
  for (const int hidden : {0, -8, 12, 1032})
    CHECK_THROWS_WITH_AS(forward(hidden, {}), doctest::Contains("layer_norm_forward"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(forward(64, Dropout{0.1f, 0, nullptr}), doctest::Contains("random"),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(forward(64, Dropout{1.0f, 0, random}), doctest::Contains("rate"),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(forward(64, Dropout{NAN, 0, random}), doctest::Contains("rate"),
                       std::invalid_argument);
  CHECK(kernels::norm_blocks(0) == 0);
  const auto none = view(a, {0, count}, 64);
  kernels::layer_norm_forward(nullptr, none, {none, a, a, a, a, epsilon, {}});
  kernels::View other = view(a, {1, count}, 64);
  other.dtype = kernels::DType::bf16;
  CHECK_THROWS_WITH_AS(
      kernels::layer_norm_forward(nullptr, other, {view(a, {1, count}, 64), a, a, a, a, epsilon, {}}),
      doctest::Contains("differ in columns or dtype"), std::invalid_argument);
}

TEST_CASE("layer_norm: views of different capacities are refused by name") {
  Buffer<int> count(std::vector{1});
  Buffer<float> a(64);
  const auto one = view(a, {1, count}, 8), two = view(a, {2, count}, 8);
  const kernels::NormArgs args{two, a, a, a, a, epsilon, {}};
  const auto refused = [](const char* launcher) {
    return std::string(launcher) + ": [2, 8] and [1, 8] differ in rows";
  };
  CHECK_THROWS_WITH_AS(kernels::layer_norm_forward(nullptr, one, args), refused("layer_norm_forward").c_str(),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(kernels::layer_norm_backward(nullptr, {two}, a, one, args),
                       refused("layer_norm_backward").c_str(), std::invalid_argument);
  CHECK_THROWS_WITH_AS(kernels::add_dropout_norm_forward(nullptr, two, two, a, one, args),
                       refused("add_dropout_norm_forward").c_str(), std::invalid_argument);
  CHECK_THROWS_WITH_AS(kernels::add_dropout_norm_backward(nullptr, two, {one}, a, two, args),
                       refused("add_dropout_norm_backward").c_str(), std::invalid_argument);
}
