// Expected gradient: differences of the forward pass, in double.
#include EXERCISE
#include <cmath>

#include "study/exercises/exercise.h"

namespace warpbert::study {

const char* const kernel = "norm_backward_kernel";
const Goal goal = {};

constexpr size_t columns = 64;

static std::pair<double, double> mean_and_rstd(const std::vector<double>& x) {
  double mean = 0, variance = 0;
  for (double v : x) mean += v / columns;
  for (double v : x) variance += (v - mean) * (v - mean) / columns;
  return {mean, 1 / std::sqrt(variance)};
}

// Σ dy·y
static double loss(const std::vector<double>& x, const float* dy) {
  const auto [mean, rstd] = mean_and_rstd(x);
  double sum = 0;
  for (size_t c = 0; c < columns; c++) sum += dy[c] * (x[c] - mean) * rstd;
  return sum;
}

void run(Check& check) {
  const size_t rows = 2;
  const float *x = check.input("x", rows * columns), *dy = check.input("dy", rows * columns);
  float *mean = check.input("mean", rows), *rstd = check.input("rstd", rows);
  float* const dx = check.output("dx", rows * columns);
  const auto row_of = [&](size_t row) {
    return std::vector<double>(x + row * columns, x + (row + 1) * columns);
  };
  for (size_t row = 0; row < rows; row++) {
    const auto [m, r] = mean_and_rstd(row_of(row));
    mean[row] = float(m), rstd[row] = float(r);
  }
  launch<norm_backward_kernel>(rows, 32, 0, nullptr, dx, dy, x, mean, rstd);
  for (size_t i = 0; i < rows * columns; i++) {
    std::vector<double> up = row_of(i / columns), down = up;
    up[i % columns] += 1e-5, down[i % columns] -= 1e-5;
    const float* const row_dy = dy + i / columns * columns;
    check.expect(dx, i, (loss(up, row_dy) - loss(down, row_dy)) / 2e-5);
  }
}

}  // namespace warpbert::study
