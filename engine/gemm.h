#pragma once
#include "dtype.h"
#include "kernels/kernels.h"
namespace warpbert {
struct Matrix { void* data; DType dtype; int rows, cols, ld; };
class Gemm {
 public:
  explicit Gemm(kernels::Stream, Precision) {}
  void multiply(Matrix c, Matrix a, bool transpose_a, Matrix b, bool transpose_b, bool accumulate);
};
}  // namespace warpbert
