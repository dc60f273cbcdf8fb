// Matrix products: the one operation that is not a kernel of ours. cuBLASLt on a GPU (gemm_cuda.cpp); OpenBLAS and
// oneDNN on the CPU (gemm_cpu.cpp).
//
// Same bits every time: on the CPU for any number of workers, on a GPU for one device model and library version.
#pragma once
#include <memory>

#include "engine/dtype.h"
#include "kernels/kernels.h"

namespace warpbert {

// A row-major matrix in device memory; ld = distance of two rows in elements, cols or more. 16-byte aligned.
struct ConstMatrix {
  const void* data;
  DType dtype;
  int rows, cols, ld;
};
struct Matrix {
  void* data;
  DType dtype;
  int rows, cols, ld;
  operator ConstMatrix() const { return {data, dtype, rows, cols, ld}; }
};

class Gemm {  // one per stream: owns the library's handle and workspace
 public:
  explicit Gemm(kernels::Stream stream, Precision precision);
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  // c = or (accumulate) += op(a)·op(b), op = transpose if asked for; summed in float.
  //   c      a, b   used for
  //   f32    f32    everything in fp32
  //   bf16   bf16   activations and their gradients; += rounds once, after adding
  //   f32    bf16   weight gradients, logits
  // Elements of c between cols and ld are left alone. std::invalid_argument names the shapes that do not fit.
  void multiply(Matrix c, ConstMatrix a, bool transpose_a, ConstMatrix b, bool transpose_b, bool accumulate);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace warpbert
