// Matrix products by cuBLASLt. It thinks in columns: our row-major c = a·b is its c' = b'·a', primes being transposes,
// which cost nothing; so the operands trade places.
#include <cublasLt.h>
#include <cuda_runtime.h>
#include <fmt/format.h>

#include <map>
#include <stdexcept>
#include <tuple>

#include "gemm.h"

namespace warpbert {
namespace {

void check(cublasStatus_t status, const char* what, const std::string& shapes) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(fmt::format("gemm {}: {}: {}", shapes, what, cublasLtGetStatusString(status)));
}

constexpr size_t workspace_bytes = size_t(32) << 20;

cudaDataType_t cuda_type(DType dtype) { return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

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
using Operation = Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

}  // namespace

struct Gemm::Library {
  cublasLtHandle_t handle = nullptr;
  kernels::Stream stream;
  cublasComputeType_t compute;
  void* workspace = nullptr;
  using Key = std::tuple<int, int, int, int, int, int, DType, DType, bool, bool>;
  std::map<Key, cublasLtMatmulAlgo_t> algorithms;  // the library's first choice, asked for once a shape

  ~Library() {
    cudaFree(workspace);
    if (handle) cublasLtDestroy(handle);
  }
};

Gemm::Gemm(kernels::Stream stream, Precision precision) : library_(std::make_unique<Library>()) {
  Library& l = *library_;
  check(cublasLtCreate(&l.handle), "cublasLtCreate", "");
  l.stream = stream;
  l.compute = precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  if (cudaMalloc(&l.workspace, workspace_bytes) != cudaSuccess)
    throw std::runtime_error("gemm: no 32 MiB of device memory for the workspace");
}

Gemm::~Gemm() = default;

void Gemm::multiply(Matrix c, Matrix a, bool transpose_a, Matrix b, bool transpose_b, bool accumulate) {
  const GemmShape shape = gemm_shape(c, a, transpose_a, b, transpose_b);
  const std::string name = fmt::format("[{}, {}] of {} terms", shape.m, shape.n, shape.k);
  Library& l = *library_;
  Operation operation;
  check(cublasLtMatmulDescCreate(&operation.value, l.compute, CUDA_R_32F), "descriptor", name);
  const cublasOperation_t first = transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                          second = transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  check(cublasLtMatmulDescSetAttribute(operation.value, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first), "transpose",
        name);
  check(cublasLtMatmulDescSetAttribute(operation.value, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second),
        "transpose", name);
  Layout left, right, result;
  const auto layout = [&](Layout& out, const Matrix& x) {
    check(cublasLtMatrixLayoutCreate(&out.value, cuda_type(x.dtype), x.cols, x.rows, x.ld), "layout", name);
  };
  layout(left, b), layout(right, a), layout(result, c);

  const Library::Key key{shape.m, shape.n, shape.k, a.ld, b.ld, c.ld, a.dtype, c.dtype, transpose_a, transpose_b};
  auto found = l.algorithms.find(key);
  if (found == l.algorithms.end()) {
    Preference preference;
    check(cublasLtMatmulPreferenceCreate(&preference.value), "preference", name);
    const size_t bytes = workspace_bytes;
    check(cublasLtMatmulPreferenceSetAttribute(preference.value, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                               sizeof bytes),
          "workspace", name);
    // Split sums are added in a fixed order and in fp32, or not split at all: repeatable, and no bf16 partial sums.
    const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    check(cublasLtMatmulPreferenceSetAttribute(preference.value, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                               &reductions, sizeof reductions),
          "reduction", name);
    cublasLtMatmulHeuristicResult_t best;
    int count = 0;
    check(cublasLtMatmulAlgoGetHeuristic(l.handle, operation.value, left.value, right.value, result.value, result.value,
                                         preference.value, 1, &best, &count),
          "no algorithm", name);
    if (!count) throw std::runtime_error(fmt::format("gemm {}: cuBLASLt has no algorithm for it on this GPU", name));
    found = l.algorithms.emplace(key, best.algo).first;
  }
  const float alpha = 1, beta = accumulate ? 1.0f : 0.0f;
  check(cublasLtMatmul(l.handle, operation.value, &alpha, b.data, left.value, a.data, right.value, &beta, c.data,
                       result.value, c.data, result.value, &found->second, l.workspace, workspace_bytes, l.stream),
        "cublasLtMatmul", name);
}

}  // namespace warpbert
