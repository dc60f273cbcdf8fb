// Gemm on the CPU.
#include <cblas.h>

#include <vector>

#include "engine/gemm_check.h"

namespace warpbert {

struct Gemm::Implementation {};

Gemm::Gemm(kernels::Stream, Precision) : implementation_(std::make_unique<Implementation>()) {
  openblas_set_num_threads(1);
}
Gemm::~Gemm() = default;

static std::vector<float> widen(ConstMatrix x) {
  std::vector<float> wide(size_t(x.rows) * x.cols);
  for (int r = 0; r < x.rows; r++)
    for (int c = 0; c < x.cols; c++)
      wide[size_t(r) * x.cols + c] = to_float(static_cast<const bf16*>(x.data)[size_t(r) * x.ld + c]);
  return wide;
}

void Gemm::multiply(Matrix c, ConstMatrix a, bool transpose_a, ConstMatrix b, bool transpose_b, bool accumulate) {
  const Product p = check_product(c, a, transpose_a, b, transpose_b);
  std::vector<float> wide_a, wide_b, wide_c;
  Matrix out = c;
  if (a.dtype == DType::bf16) {
    wide_a = widen(a), wide_b = widen(b);
    a = {wide_a.data(), DType::f32, a.rows, a.cols, a.cols};
    b = {wide_b.data(), DType::f32, b.rows, b.cols, b.cols};
  }
  if (c.dtype == DType::bf16) {
    wide_c = widen(c);
    out = {wide_c.data(), DType::f32, c.rows, c.cols, c.cols};
  }
  cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans, p.m, p.n,
              p.k, 1, static_cast<const float*>(a.data), a.ld, static_cast<const float*>(b.data), b.ld,
              accumulate ? 1 : 0, static_cast<float*>(out.data), out.ld);
  if (c.dtype == DType::bf16)
    for (int r = 0; r < c.rows; r++)
      for (int i = 0; i < c.cols; i++)
        static_cast<bf16*>(c.data)[size_t(r) * c.ld + i] = to_bf16(wide_c[size_t(r) * c.cols + i]);
}

}  // namespace warpbert
