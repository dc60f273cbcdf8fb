#include "gemm.h"

#include <fmt/format.h>

#include <stdexcept>

namespace warpbert {

GemmShape gemm_shape(const GemmArgs& args) {
  const auto rows = [](const Operand& x) { return x.transposed ? x.view.cols : x.view.rows.capacity; };
  const auto cols = [](const Operand& x) { return x.transposed ? x.view.rows.capacity : x.view.cols; };
  const View &a = args.a.view, &b = args.b.view, &c = args.c;
  const GemmShape shape{rows(args.a), cols(args.b), cols(args.a)};
  const bool sizes = shape.m == c.rows.capacity && shape.n == c.cols && shape.k == rows(args.b) &&
                     shape.m > 0 && shape.n > 0 && shape.k > 0;
  const bool strides = a.ld >= a.cols && b.ld >= b.cols && c.ld >= c.cols && (a.ld | b.ld | c.ld) % 8 == 0;
  const bool dtypes = a.dtype == b.dtype && (c.dtype == a.dtype || c.dtype == DType::f32);
  if (!sizes || !strides || !dtypes) {
    const auto text = [](const Operand& x) {
      return fmt::format("{} [{}, {}] (ld {}){}", x.view.dtype == DType::bf16 ? "bf16" : "fp32",
                         x.view.rows.capacity, x.view.cols, x.view.ld, x.transposed ? "ᵀ" : "");
    };
    throw std::invalid_argument(fmt::format("gemm: {} = {} · {}", text(c), text(args.a), text(args.b)));
  }
  return shape;
}

simt::Launch gemm_launch(std::string& name, const GemmArgs& args, kernels::Stream stream) {
  const GemmShape s = gemm_shape(args);
  const DType dtype = args.a.view.dtype;
  const bool accumulate = args.mode == Grad::accumulate;
  name = fmt::format("gemm {} [{}, {}] of {} terms", dtype == DType::bf16 ? "bf16" : "fp32", s.m, s.n, s.k);
  if (args.a.transposed || args.b.transposed)
    name += fmt::format(", a{}·b{}", args.a.transposed ? "ᵀ" : "", args.b.transposed ? "ᵀ" : "");
  if (accumulate) name += ", added";
  const double m = s.m, n = s.n, k = s.k;
  simt::Launch launch{name.c_str(), {}, {}, 0, stream};
  launch.flops = 2 * m * n * k;
  launch.bytes =
      (m * k + k * n) * double(size_of(dtype)) + m * n * double(size_of(args.c.dtype)) * (accumulate ? 2 : 1);
  return launch;
}

}  // namespace warpbert
