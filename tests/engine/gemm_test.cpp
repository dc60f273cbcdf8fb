#include <doctest/doctest.h>

#include "engine/device.h"
#include "engine/gemm.h"
#include "tests/support/buffer.h"
#include "tests/support/rows.h"

#ifndef WARPBERT_CUDA
#include "tests/support/little_memory.h"
#endif

using namespace warpbert;
using namespace warpbert::test;

namespace {

struct Shape {
  int m, n, k;
};
// The last two leave edge tiles of one row and one column.
const std::vector<Shape> shapes = {{1, 1, 1},      {1, 31, 33},   {31, 1, 33},     {31, 8, 1},
                                   {33, 100, 17},  {64, 64, 64},  {300, 1030, 40}, {100, 24, 513},
                                   {2049, 40, 24}, {40, 2049, 24}};

template <class T>
struct TestMatrix {
  std::vector<T> values;
  Buffer<T> buffer;
  View view;
  // [rows, cols] with leading dimension ld, a multiple of 8; the padding after each row is NaN
  TestMatrix(int rows, int cols, unsigned seed)
      : values(normal<T>(size_t(rows) * ((cols + 15) / 8 * 8), 1, 0, seed)), buffer(values) {
    const int ld = (cols + 15) / 8 * 8;
    for (int r = 0; r < rows; r++)
      for (int c = cols; c < ld; c++)
        buffer[size_t(r) * ld + c] = values[size_t(r) * ld + c] = from_float<T>(NAN);
    view = {buffer.data(), kernels::dtype_of<T>, {rows}, cols, ld};
  }
  double at(int r, int c) const { return to_float(values[size_t(r) * view.ld + c]); }
};

// `input`: relative error of a product due to rounded factors.
template <class In, class Out>
void check_products(Precision precision, double input = 0) {
  Device device;
  Gemm gemm(device, precision);
  for (const Shape& s : shapes)
    for (int mode = 0; mode < 8; mode++) {
      const bool ta = mode & 1, tb = mode & 2, accumulate = mode & 4;
      TestMatrix<In> a(ta ? s.k : s.m, ta ? s.m : s.k, 1), b(tb ? s.n : s.k, tb ? s.k : s.n, 2);
      TestMatrix<Out> c(s.m, s.n, 3);
      gemm.multiply({c.view, {a.view, ta}, {b.view, tb}, accumulate ? Grad::accumulate : Grad::overwrite});
      synchronize();
      double worst = 0;
      int touched = 0;
      for (int i = 0; i < s.m; i++) {
        for (int j = 0; j < s.n; j++) {
          double sum = accumulate ? c.at(i, j) : 0, size = std::abs(sum);
          for (int k = 0; k < s.k; k++) {
            const double product = (ta ? a.at(k, i) : a.at(i, k)) * (tb ? b.at(j, k) : b.at(k, j));
            sum += product, size += std::abs(product);
          }
          // fp32 sums lose about 2⁻²⁴ of Σ|products| per addition. A bf16 result loses 2⁻⁸ of itself,
          // 2⁻⁷ with accumulate, where an intermediate result may be rounded too.
          const double error = std::abs(to_float(c.buffer[size_t(i) * c.view.ld + j]) - sum);
          const double allowed =
              size * (2e-6 + input) +
              (sizeof(Out) == 2 ? std::abs(sum) * (accumulate ? 1.0 / 128 : 1.0 / 256) : 0);
          worst = std::max(worst, std::isnan(error) ? INFINITY : error / (allowed + 1e-30));
        }
        for (int j = s.n; j < c.view.ld; j++)
          touched += !std::isnan(to_float(c.buffer[size_t(i) * c.view.ld + j]));
      }
      INFO(s.m, " x ", s.n, " x ", s.k, ", mode ", mode);
      CHECK(worst <= 1);
      CHECK(touched == 0);
    }
}

}  // namespace

TEST_CASE("gemm: fp32 against double, every transpose, written and added, odd sizes, padded rows") {
  check_products<float, float>(Precision::fp32);
}
TEST_CASE("gemm: bf16 to bf16") { check_products<bf16, bf16>(Precision::bf16); }
TEST_CASE("gemm: bf16 to fp32") { check_products<bf16, float>(Precision::bf16); }

#ifdef WARPBERT_CUDA
// tf32 stores 10 mantissa bits. Rounding to nearest costs a factor at most 2⁻¹¹; tensor cores given floats
// may truncate the other 13 bits instead, at most 2⁻¹⁰. Two factors double that: 2⁻⁹.
TEST_CASE("gemm: tf32, two factors with 11 bits each") {
  check_products<float, float>(Precision::tf32, 0x1p-9);
}
#else
TEST_CASE("gemm: tf32 is fp32 on a CPU") {
  Device device;
  for (const Shape& s : shapes) {
    const auto product = [&](Precision precision) {
      TestMatrix<float> a(s.m, s.k, 1), b(s.k, s.n, 2), c(s.m, s.n, 3);
      Gemm(device, precision).multiply({c.view, a.view, b.view, Grad::accumulate});
      return bits(c.buffer, c.buffer.size());
    };
    CHECK(product(Precision::tf32) == product(Precision::fp32));
  }
}

TEST_CASE("gemm: bf16 as fp32 copies, for processors whose library has no bf16") {
  // An fp32 Gemm does not query bf16 support and converts bf16 operands to fp32.
  check_products<bf16, bf16>(Precision::fp32);
  check_products<bf16, float>(Precision::fp32);
}

TEST_CASE("gemm: bf16 without memory for oneDNN's code is a message, and products go on") {
  Device device;
  Gemm gemm(device, Precision::bf16);
  TestMatrix<bf16> b(48, 56, 2);
  for (int i = 0; i < 20; i++) {  // each shape has its own code
    TestMatrix<bf16> a(40 + i, 48, 1), c(40 + i, 56, 3);
    const auto run = [&] { gemm.multiply({c.view, a.view, b.view}); };
    std::string refused;
    try {
      const LittleMemory little(size_t(i) << 17);
      run();
    } catch (const std::exception& error) {
      refused = error.what();
    }
    if (!refused.empty())  // oneDNN has bf16 here
      CHECK(refused.starts_with("out of memory: oneDNN needs 32 MiB of address space for each of "));
    run();
  }
}
#endif

TEST_CASE("gemm: shapes that do not fit are refused with their sizes") {
  Device device;
  Gemm gemm(device, Precision::fp32);
  TestMatrix<float> a(3, 8, 1), b(5, 9, 2), c(3, 5, 3);
  CHECK_THROWS_WITH_AS(gemm.multiply({c.view, a.view, transposed(b.view)}),
                       "gemm: fp32 [3, 5] (ld 16) = fp32 [3, 8] (ld 16) · fp32 [5, 9] (ld 24)ᵀ",
                       std::invalid_argument);
  TestMatrix<bf16> d(5, 8, 2);
  CHECK_THROWS_AS(gemm.multiply({c.view, a.view, transposed(d.view)}), std::invalid_argument);
}
