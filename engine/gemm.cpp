#include "gemm.h"

#include <fmt/format.h>

#include <stdexcept>

namespace warpbert {

GemmShape gemm_shape(const Matrix& c, const Matrix& a, bool transpose_a, const Matrix& b, bool transpose_b) {
  const int m = transpose_a ? a.cols : a.rows, k = transpose_a ? a.rows : a.cols;
  const int n = transpose_b ? b.rows : b.cols, kb = transpose_b ? b.cols : b.rows;
  const bool sizes = m == c.rows && n == c.cols && k == kb && m > 0 && n > 0 && k > 0;
  const bool strides = a.ld >= a.cols && b.ld >= b.cols && c.ld >= c.cols && (a.ld | b.ld | c.ld) % 8 == 0;
  const bool dtypes = a.dtype == b.dtype && (c.dtype == a.dtype || c.dtype == DType::f32);
  if (!sizes || !strides || !dtypes) {
    const auto text = [](const Matrix& x, bool transpose) {
      return fmt::format("{} [{}, {}] (ld {}){}", x.dtype == DType::bf16 ? "bf16" : "fp32", x.rows, x.cols,
                         x.ld, transpose ? "ᵀ" : "");
    };
    throw std::invalid_argument(
        fmt::format("gemm: {} = {} · {}", text(c, false), text(a, transpose_a), text(b, transpose_b)));
  }
  return {m, n, k};
}

simt::Launch gemm_launch(std::string& name, const Matrix& c, const Matrix& a, bool transpose_a,
                         const Matrix& b, bool transpose_b, bool accumulate, kernels::Stream stream) {
  const GemmShape s = gemm_shape(c, a, transpose_a, b, transpose_b);
  name = fmt::format("gemm {} [{}, {}] of {} terms", a.dtype == DType::bf16 ? "bf16" : "fp32", s.m, s.n, s.k);
  if (transpose_a || transpose_b)
    name += fmt::format(", a{}·b{}", transpose_a ? "ᵀ" : "", transpose_b ? "ᵀ" : "");
  if (accumulate) name += ", added";
  const double m = s.m, n = s.n, k = s.k;
  simt::Launch launch{name.c_str(), {}, {}, 0, stream};
  launch.flops = 2 * m * n * k;
  launch.bytes =
      (m * k + k * n) * double(size_of(a.dtype)) + m * n * double(size_of(c.dtype)) * (accumulate ? 2 : 1);
  return launch;
}

}  // namespace warpbert
