// cuBLASLt is column-major: row-major c = a·b is its cᵀ = bᵀ·aᵀ, with operands swapped.
#pragma once
#include <cublasLt.h>

#include <optional>
#include <string>
#include <vector>

#include "check.h"
#include "engine/algorithm_cache.h"
#include "engine/device.h"
#include "engine/gemm.h"

namespace warpbert::lt {

constexpr size_t workspace_bytes = size_t(32) << 20;  // per Gemm: streams sharing one would corrupt sums

struct Pointers {
  void* c;
  const void *a, *b;
};

// c = a·b, or +=; gemm_shape checked the operands.
class GemmPlan {
 public:
  GemmPlan(cublasLtHandle_t handle, cublasComputeType_t compute, const GemmArgs& args);

  const GemmKey& key() const { return key_; }
  const std::string& name() const { return name_; }  // "[1024, 768] of 3072 terms"

  // Repeatable summation order, cuBLASLt's favourites first. Throws if there is none.
  std::vector<cublasLtMatmulAlgo_t> algorithms(int most) const;
  bool can_run(const cublasLtMatmulAlgo_t& algorithm) const;
  cublasStatus_t run(const cublasLtMatmulAlgo_t& algorithm, const Pointers& pointers, Grad mode,
                     void* workspace, cudaStream_t stream) const;

 private:
  using Operation = Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
  using Layout = Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
  void check(cublasStatus_t status, const char* what) const;

  cublasLtHandle_t handle_;
  GemmKey key_;
  std::string name_;
  Operation operation_;
  Layout left_, right_, result_;
};

// Not during stream capture. Empty when out of memory or if no algorithm qualifies.
std::optional<GemmAlgorithm> autotune(const GemmPlan& plan, void* workspace, cudaStream_t stream);

GemmAlgorithm choice_of(const cublasLtMatmulAlgo_t& algorithm, double microseconds = 0);

}  // namespace warpbert::lt
