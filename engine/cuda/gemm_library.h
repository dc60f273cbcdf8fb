// What gemm_cuda.cpp and gemm_tuning_cuda.cpp share: one product as cuBLASLt describes it.
//
// It thinks in columns: our row-major c = a·b is its c' = b'·a', primes being transposes, which cost nothing; so the
// operands trade places.
#pragma once
#include <cublasLt.h>
#include <cuda_runtime.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/gemm.h"
#include "engine/gemm_choices.h"

namespace warpbert::lt {

constexpr size_t workspace_bytes = size_t(32) << 20;  // of each Gemm: streams that share one spoil each other's sums

// A handle of the library's that is destroyed with its owner.
template <class T, cublasStatus_t (*Destroy)(T)>
struct Handle {
  T value = nullptr;
  Handle() = default;
  Handle(const Handle&) = delete;
  ~Handle() {
    if (value) Destroy(value);
  }
};

// c = op(a)·op(b), or +=, of matrices that gemm_shape accepts.
class Product {
 public:
  Product(cublasLtHandle_t handle, cublasComputeType_t compute, const Matrix& c, const Matrix& a, bool transpose_a,
          const Matrix& b, bool transpose_b);

  const GemmProduct& key() const { return key_; }
  const std::string& name() const { return name_; }  // "[1024, 768] of 3072 terms", for messages

  // Algorithms with a repeatable order of sums, the ones that the library thinks fastest first; at least one. Throws
  // when there is none.
  std::vector<cublasLtMatmulAlgo_t> algorithms(int most) const;
  // Whether a restored algorithm can run on this device.
  bool can_run(const cublasLtMatmulAlgo_t& algorithm) const;
  cublasStatus_t run(const cublasLtMatmulAlgo_t& algorithm, void* c, const void* a, const void* b, bool accumulate,
                     void* workspace, cudaStream_t stream) const;

 private:
  using Operation = Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
  using Layout = Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
  void check(cublasStatus_t status, const char* what) const;

  cublasLtHandle_t handle_;
  GemmProduct key_;
  std::string name_;
  Operation operation_;
  Layout left_, right_, result_;
};

// The fastest of a product's algorithms, timed on matrices of this shape with random values (gemm_tuning_cuda.cpp).
// Not within a recording. Nothing when there is no memory for it, or none of them ran.
std::optional<GemmChoice> fastest(const Product& product, void* workspace, cudaStream_t stream);

GemmChoice choice_of(const cublasLtMatmulAlgo_t& algorithm, double microseconds = 0);

}  // namespace warpbert::lt
