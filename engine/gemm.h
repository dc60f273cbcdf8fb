// Matrix products: the one thing that is not a kernel of ours. cuBLASLt on a GPU, a BLAS on the CPU.
//
// Accumulation is fp32 everywhere. Results are the same bits on every run, for any number of CPU threads: on the CPU
// the result is cut into tiles by shape alone and each tile is one single-threaded call with the whole of K; on the GPU
// the same algorithm serves a product every time (gemm_choices.h).
#pragma once
#include <cstddef>
#include <memory>
#include <string>

#include "dtype.h"
#include "kernels/kernels.h"
#include "simt/launch_observer.h"

namespace warpbert {

// A row-major matrix in device memory; ld = distance of two rows in elements, a multiple of 8.
struct Matrix {
  void* data;
  DType dtype;
  int rows, cols, ld;
};

class Device;

class Gemm {
 public:
  // Of device.stream(), or of another stream of the device. The device's choices are looked up and added to; a product
  // that is met first inside a recording of a graph is not timed. On a GPU 32 MiB of device memory are its workspace.
  Gemm(Device& device, Precision precision, kernels::Stream stream = nullptr);
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  // c = op(a)·op(b), or c += with accumulate. a and b have the same dtype; c has it too, or is fp32.
  // Throws std::invalid_argument naming the shapes that do not fit.
  void multiply(Matrix c, Matrix a, bool transpose_a, Matrix b, bool transpose_b, bool accumulate);

  // The library and all versions that its choices depend on: "cuBLASLt 130100, CUDA 13000, driver 13000".
  static std::string library();

 private:
  struct Library;  // gemm_cuda.cpp or gemm_cpu.cpp
  std::unique_ptr<Library> library_;
};

// Shapes of one product after its transposes: c [m, n], k terms each. Throws as multiply does.
struct GemmShape {
  int m, n, k;
};
GemmShape gemm_shape(const Matrix& c, const Matrix& a, bool transpose_a, const Matrix& b, bool transpose_b);

// What an observer of launches is told of it, in whose place `name` keeps the text: "gemm bf16 [1024, 768] of 3072
// terms, aᵀ·b, added". Bytes: each operand's once, and the result's, twice if it is added to.
simt::Launch gemm_launch(std::string& name, const Matrix& c, const Matrix& a, bool transpose_a, const Matrix& b,
                         bool transpose_b, bool accumulate, kernels::Stream stream);

}  // namespace warpbert
