#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"
#include "tests/support/squared_norm.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {
double sum(const std::vector<double>& values) {
  Buffer<double> x(values), out(1);
  kernels::sum(nullptr, out, x, values.size());
  synchronize();
  return out[0];
}

// Each term and sum is rounded by 2⁻⁵³; a term passes through fewer than log₂(blocks) + n / threads sums.
const SquaredNormCheck squared_norm = {kernels::squared_norm, 1e-14};
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

TEST_CASE("squared_norm: against a long double loop, at every length") { squared_norm.every_length(); }

TEST_CASE("squared_norm: counts every element once") { squared_norm.every_element_once(); }

TEST_CASE(
    "squared_norm: double accumulation keeps small values beside large ones, and squares beyond float's "
    "range") {
  squared_norm.double_accumulation();
}

TEST_CASE("squared_norm: a value that is not a number is not lost") { squared_norm.not_a_number(); }

TEST_CASE("block_squares: 2,048 values an entry, at every length, the same wherever a slice begins") {
  for (size_t n : {0, 1, 2047, 2048, 2049, 8191, 300000}) {
    const auto values = normal<float>(n, 2, 1);
    const size_t blocks = (n + 2047) / 2048;
    Buffer<float> x(values);
    Buffer<double> out(blocks + 1), slice(blocks + 1);
    kernels::block_squares(nullptr, out, x, n);
    const size_t half = blocks / 2;  // as two ranks would
    kernels::block_squares(nullptr, slice, x, half * 2048);
    kernels::block_squares(nullptr, slice.data() + half, x.data() + half * 2048, n - half * 2048);
    synchronize();
    for (size_t k = 0; k < blocks; k++) {
      long double expected = 0;
      for (size_t i = k * 2048; i < std::min(n, k * 2048 + 2048); i++)
        expected += (long double)values[i] * values[i];
      CHECK(std::abs(out[k] - double(expected)) <= 1e-14 * double(expected));
      CHECK(slice[k] == out[k]);
    }
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
