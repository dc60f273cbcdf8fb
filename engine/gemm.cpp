// What both sides of Gemm share: the check of shapes.
#include "engine/gemm_check.h"

#include <stdexcept>

namespace warpbert {

static std::string describe(const char* name, ConstMatrix x, bool transposed) {
  return std::string(name) + (transposed ? "ᵀ: " : ": ") + name_of(x.dtype) + " [" + std::to_string(x.rows) + ", " +
         std::to_string(x.cols) + "] ld " + std::to_string(x.ld);
}

std::string describe_product(Matrix c, ConstMatrix a, bool transpose_a, ConstMatrix b, bool transpose_b) {
  return describe("c", c, false) + ", " + describe("a", a, transpose_a) + ", " + describe("b", b, transpose_b);
}

Product check_product(Matrix c, ConstMatrix a, bool transpose_a, ConstMatrix b, bool transpose_b) {
  const auto refuse = [&](const char* why) {
    throw std::invalid_argument(std::string("gemm: ") + why + "; " +
                                describe_product(c, a, transpose_a, b, transpose_b));
  };
  const int m = transpose_a ? a.cols : a.rows, k = transpose_a ? a.rows : a.cols;
  const int k2 = transpose_b ? b.cols : b.rows, n = transpose_b ? b.rows : b.cols;
  if (m != c.rows || n != c.cols || k != k2) refuse("shapes do not fit");
  if (m < 1 || n < 1 || k < 1) refuse("empty matrix");
  for (const ConstMatrix& x : {ConstMatrix(c), a, b}) {
    if (!x.data) refuse("no data");
    if (x.ld < x.cols) refuse("ld is less than the number of columns");
    if (x.ld % 8) refuse("ld is not a multiple of 8");
  }
  if (a.dtype != b.dtype || (a.dtype == DType::f32 && c.dtype != DType::f32)) refuse("dtypes do not fit");
  return {m, n, k};
}

}  // namespace warpbert
