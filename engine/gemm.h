// cuBLASLt on a GPU, oneDNN on the CPU; accumulation is fp32 or better. Bits do not depend on the number of
// CPU threads: tiles depend on the shape alone, and each is one single-threaded call over all of K.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

#include "dtype.h"
#include "simt/launch_observer.h"

namespace warpbert {

struct Operand {
  View view;
  bool transposed = false;
  Operand(const View& of) : view(of) {}
  Operand(const View& of, bool flip) : view(of), transposed(flip) {}
};
inline Operand transposed(const View& x) { return {x, true}; }

// c = a·b, or +=. a and b share a dtype; c has the same or fp32. Padding rows count, too.
struct GemmArgs {
  View c;
  Operand a, b;
  Grad mode = Grad::overwrite;
};

class Device;

class Gemm {
 public:
  // `stream` null: device.stream(). Products first seen during stream capture are not autotuned. GPU
  // workspace: 32 MiB.
  Gemm(Device& device, Precision precision, kernels::Stream stream = nullptr);
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  // Throws std::invalid_argument naming unfit shapes.
  void multiply(const GemmArgs& args);

  // Versions that the algorithm cache depends on: "cuBLASLt 130100, CUDA 13000, driver 13000".
  static std::string library();

 private:
  struct Library;
  std::unique_ptr<Library> library_;
};

// c: [m, n], inner dimension k. Throws as multiply does.
struct GemmShape {
  int m, n, k;
};
GemmShape gemm_shape(const GemmArgs& args);

// Describes a GEMM to the launch observer; `name` owns the text: "gemm bf16 [1024, 768] of 3072 terms, aᵀ·b,
// added". Bytes: each operand and the result once, the result twice when accumulating.
simt::Launch gemm_launch(std::string& name, const GemmArgs& args, kernels::Stream stream);

}  // namespace warpbert
