// Formulas of LayerNorm in double, and the check of a launcher of its backward pass: of the shipped kernel
// (tests/kernels/layer_norm_test.cpp), and of the rungs of its ladder (tests/study/ladders_test.cpp).
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"
#include "tests/support/dropout.h"
#include "tests/support/rows.h"

namespace warpbert::test {

constexpr float epsilon = 1e-3f;  // large enough to verify its place in the formula
constexpr kernels::RandomState random_state = {0x123456789abcdef0, 7, 1000003};

// All vector counts per lane, full and partial; all remainders of rows by warp and block sizes.
struct Shape {
  int rows, capacity, hidden;
};
constexpr Shape shapes[] = {{1, 1, 8},     {0, 3, 64},  {3, 9, 64},   {33, 40, 256}, {31, 32, 264},
                            {10, 10, 384}, {7, 8, 512}, {9, 24, 768}, {2, 16, 776},  {17, 19, 1024}};

// ---- Formulas in double precision -------------------------------------------------------------------------
struct Moments {
  double mean = 0, rstd = 0;
};

template <class T>
Moments moments(const T* x, int hidden) {
  double mean = 0, variance = 0;
  for (int c = 0; c < hidden; c++) mean += to_float(x[c]) / double(hidden);
  for (int c = 0; c < hidden; c++) variance += std::pow(to_float(x[c]) - mean, 2) / hidden;
  return {mean, 1 / std::sqrt(variance + epsilon)};
}

// dx of one row from its dy.
inline std::vector<double> row_gradient(const std::vector<double>& g, const std::vector<double>& xhat,
                                        const std::vector<float>& gamma, double rstd) {
  const size_t hidden = g.size();
  double mean_g = 0, mean_gx = 0;
  for (size_t c = 0; c < hidden; c++)
    mean_g += gamma[c] * g[c] / hidden, mean_gx += gamma[c] * g[c] * xhat[c] / hidden;
  std::vector<double> dx(hidden);
  for (size_t c = 0; c < hidden; c++) dx[c] = rstd * (gamma[c] * g[c] - mean_g - xhat[c] * mean_gx);
  return dx;
}

inline kernels::Grad mode(bool accumulate) {
  return accumulate ? kernels::Grad::accumulate : kernels::Grad::overwrite;
}

template <class T>
std::string describe(Shape s) {
  return std::to_string(s.rows) + " rows of " + std::to_string(s.capacity) + ", hidden " +
         std::to_string(s.hidden) + (sizeof(T) == 2 ? ", bf16" : ", float");
}

using NormBackward = void(kernels::Stream, kernels::GradView dx, float* partials, kernels::View dy,
                          const kernels::NormArgs&);

template <class T>
void check_backward(Shape shape, float rate, bool accumulate,
                    NormBackward* launcher = kernels::layer_norm_backward) {
  const auto [n, capacity, hidden] = shape;
  INFO(describe<T>(shape), ", rate ", rate, ", accumulate ", accumulate);
  const size_t real = size_t(n) * hidden, all = size_t(capacity) * hidden;
  const auto gamma = normal<float>(hidden, 1, 1, 2);
  const auto before = poisoned(normal<T>(real, 1, 0, 6), all);
  Buffer<kernels::RandomState> random(std::vector{random_state});
  const kernels::Dropout dropout{rate, 5, rate > 0 ? random.data() : nullptr};
  Buffer<int> count(std::vector{n});
  Buffer<T> x(poisoned(normal<T>(real, 2, 0.5f), all)), dy(poisoned(normal<T>(real, 1, 0.2f, 4), all)),
      dx(all);
  if (accumulate) std::copy(before.begin(), before.end(), dx.data());
  Buffer<float> mean(capacity), rstd(capacity), g(gamma),
      partials(size_t(kernels::norm_blocks(capacity)) * 2 * hidden);
  for (int r = 0; r < n; r++) {
    const Moments m = moments(&x[size_t(r) * hidden], hidden);
    mean[r] = float(m.mean), rstd[r] = float(m.rstd);
  }
  const kernels::Rows rows{capacity, count};
  launcher(nullptr, {view(dx, rows, hidden), mode(accumulate)}, partials, view(dy, rows, hidden),
           {view(x, rows, hidden), mean, rstd, g, nullptr, epsilon, dropout});
  const auto sums = finished(partials, kernels::norm_blocks(capacity), 2, hidden);

  Worst gradient, parameters;
  std::vector<double> dgamma(hidden), dbeta(hidden), gy(hidden), xhat(hidden);
  for (int r = 0; r < n; r++) {
    for (int c = 0; c < hidden; c++) {
      const size_t i = size_t(r) * hidden + c;
      gy[c] = dropout_factor(dropout, i, hidden) * to_float(dy[i]);
      xhat[c] = (to_float(x[i]) - double(mean[r])) * rstd[r];
      dgamma[c] += gy[c] * xhat[c], dbeta[c] += gy[c];
    }
    const auto expected = row_gradient(gy, xhat, gamma, rstd[r]);
    for (int c = 0; c < hidden; c++) {
      const size_t i = size_t(r) * hidden + c;
      gradient.add(to_float(dx[i]), expected[c] + (accumulate ? to_float(before[i]) : 0));
    }
  }
  for (int c = 0; c < hidden; c++)
    parameters.add(sums[0][c], dgamma[c]), parameters.add(sums[1][c], dbeta[c]);
  CHECK(gradient.value < tolerance<T>);
  CHECK(parameters.value < tolerance<float>);
  CHECK(nonzero(dx, real, all) == 0);
}

}  // namespace warpbert::test
