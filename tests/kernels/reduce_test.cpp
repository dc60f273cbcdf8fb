#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {
double sum(const std::vector<double>& values) {
  Buffer<double> x(values), out(1);
  kernels::sum(nullptr, out, x, values.size());
  synchronize();
  return out[0];
}

double squared_norm(const std::vector<float>& values) {
  Buffer<float> x(values);
  Buffer<double> out(1), workspace(kernels::squared_norm_workspace());
  kernels::squared_norm(nullptr, out, workspace, x, values.size());
  synchronize();
  return out[0];
}
}  // namespace

TEST_CASE("sum: against a long double loop, at every length") {
  // One block: around one value and around eight values for each of 1,024 threads; last, the number of
  // partial sums that Adam's blocks produce for the 91 M gradients of BERT-base.
  for (size_t n : {0, 1, 1023, 1024, 1025, 8191, 8192, 8193, 44607}) {
    std::vector<double> x;
    for (float v : normal<float>(n)) x.push_back(v / 3.0);  // uses all bits of a double
    long double expected = 0, size = 0;
    for (double v : x) expected += v, size += std::abs(v);
    // A value passes through n / 1024 additions in its thread, 5 in its warp and 32 in the block, each
    // rounded by at most 2⁻⁵³·Σ|x|. A value lost or counted twice changes the sum by about Σ|x| / n.
    const double roundings = double(n) / 1024 + 5 + 32;
    CHECK(std::abs(sum(x) - double(expected)) <= roundings * 0x1p-53 * double(size));
  }
}

TEST_CASE("squared_norm: against a long double loop, at every length") {
  // Lengths around one iteration of the largest grid (512 blocks, 256 threads, 8 values each), and all tails.
  const size_t turn = 512 * 256 * 8;
  for (size_t n : {size_t(0), size_t(1), size_t(2), size_t(3), size_t(4), size_t(31), size_t(33),
                   size_t(100003), turn - 1, turn + 31}) {
    const auto x = normal<float>(n, 2, 1);
    long double expected = 0;
    for (float v : x) expected += (long double)v * v;
    // Each term and sum is rounded by 2⁻⁵³; a term passes through fewer than log₂(blocks) + n / threads sums.
    CHECK(std::abs(squared_norm(x) - double(expected)) <= 1e-14 * double(expected));
  }
}

TEST_CASE("squared_norm: counts every element once") {
  // One nonzero element at the borders of threads, blocks, iterations and tails.
  for (size_t n : {1, 5, 1023, 1024, 1025, 2047, 2048, 1048607})
    for (size_t at : {size_t(0), n / 2, n - 1}) {
      std::vector<float> x(n, 0.0f);
      x[std::min(at, n - 1)] = 3;
      CHECK(squared_norm(x) == 9);
    }
}

TEST_CASE(
    "squared_norm: double accumulation keeps small values beside large ones, and squares beyond float's "
    "range") {
  std::vector<float> x(1 << 16, 1.0f);
  x[100] = 16384;  // squared 2²⁸; in float 2²⁸ + 1 = 2²⁸
  CHECK(squared_norm(x) == 268435456.0 + 65535);
  const double large = 1e30f, small = 1e-30f;  // squares fit a double, not a float
  CHECK(squared_norm({1e30f, 1e-30f}) == large * large);
  CHECK(squared_norm({1e-30f}) == small * small);
}

TEST_CASE("squared_norm: a value that is not a number is not lost") {
  for (size_t at : {0, 999, 1002}) {
    std::vector<float> x(1003, 1.0f);
    x[at] = NAN;
    CHECK(std::isnan(squared_norm(x)));
    x[at] = INFINITY;
    CHECK(squared_norm(x) == INFINITY);
  }
}

TEST_CASE("sum, squared_norm, count_differences: refuse null pointers, unless there is nothing to read") {
  Buffer<double> out(1);
  Buffer<unsigned> count(1);
  Buffer<unsigned char> bytes(16);
  CHECK_THROWS_WITH_AS(kernels::sum(nullptr, nullptr, out, 1), "sum: no out or x, n = 1",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(kernels::sum(nullptr, out, nullptr, 8), "sum: no out or x, n = 8",
                       std::invalid_argument);
  kernels::sum(nullptr, out, nullptr, 0);
  synchronize();
  CHECK(out[0] == 0);
  CHECK_THROWS_WITH_AS(kernels::squared_norm(nullptr, out, nullptr, nullptr, 8),
                       "squared_norm: no out, workspace or x, n = 8", std::invalid_argument);
  const auto differences = [](unsigned* count, const void* a, const void* b) {
    kernels::count_differences(nullptr, count, a, b, 16);
  };
  const char* message = "count_differences: no count, a or b, 16 bytes";
  CHECK_THROWS_WITH_AS(differences(nullptr, bytes, bytes), message, std::invalid_argument);
  CHECK_THROWS_WITH_AS(differences(count, nullptr, bytes), message, std::invalid_argument);
  CHECK_THROWS_WITH_AS(differences(count, bytes, nullptr), message, std::invalid_argument);
}

TEST_CASE("count_differences: counts words by their bits, at every length and place") {
  const auto differences = [](const std::vector<unsigned char>& x, const std::vector<unsigned char>& y) {
    Buffer<unsigned char> a(x), b(y);
    Buffer<unsigned> count(std::vector<unsigned>{5});
    kernels::count_differences(nullptr, count, a, b, x.size());
    synchronize();
    return count[0] - 5;
  };
  for (size_t n : {0, 1, 15, 16, 17, 255, 4096, 4097, 512 * 256 * 16 + 33}) {  // around one grid iteration
    std::vector<unsigned char> x(n, 0xff);                                     // NaNs, compared bitwise
    CHECK(differences(x, x) == 0);
    for (size_t at : {size_t(0), n / 2, n - 1})
      if (at < n) {
        auto y = x;
        y[at] ^= 1;
        CHECK(differences(x, y) == 1);
      }
  }
  std::vector<unsigned char> zero(64, 0), minus(64, 0);
  minus[3] = minus[19] = 0x80;  // two floats −0
  minus[0] = 1;                 // same word as minus[3]
  CHECK(differences(zero, minus) == 2);
}
