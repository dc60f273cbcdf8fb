// Gemm on cuBLASLt.
#include "gemm_library.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace warpbert {
namespace lt {
namespace {

cudaDataType_t cuda_type(DType dtype) { return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

int alignment_of(std::initializer_list<const void*> operands) {
  uintptr_t bits = 256;
  for (const void* p : operands) bits |= reinterpret_cast<uintptr_t>(p);
  return int(bits & -bits);
}

GemmProduct key_of(cublasComputeType_t compute, const Matrix& c, const Matrix& a, bool transpose_a,
                   const Matrix& b, bool transpose_b) {
  const GemmShape s = gemm_shape(c, a, transpose_a, b, transpose_b);
  const auto input = a.dtype == DType::bf16                    ? GemmProduct::Input::bf16
                     : compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? GemmProduct::Input::tf32
                                                               : GemmProduct::Input::fp32;
  return {s.m,
          s.n,
          s.k,
          a.ld,
          b.ld,
          c.ld,
          input,
          c.dtype,
          transpose_a,
          transpose_b,
          alignment_of({a.data, b.data, c.data})};
}

}  // namespace

void Product::check(cublasStatus_t status, const char* what) const {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(fmt::format("gemm {}: {}: {}", name_, what, cublasLtGetStatusString(status)));
}

Product::Product(cublasLtHandle_t handle, cublasComputeType_t compute, const Matrix& c, const Matrix& a,
                 bool transpose_a, const Matrix& b, bool transpose_b)
    : handle_(handle),
      key_(key_of(compute, c, a, transpose_a, b, transpose_b)),
      name_(fmt::format("[{}, {}] of {} terms", key_.m, key_.n, key_.k)) {
  check(cublasLtMatmulDescCreate(&operation_.value, compute, CUDA_R_32F), "descriptor");
  const cublasOperation_t first = transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                          second = transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  check(cublasLtMatmulDescSetAttribute(operation_.value, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first),
        "transpose");
  check(cublasLtMatmulDescSetAttribute(operation_.value, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second),
        "transpose");
  const auto layout = [&](Layout& out, const Matrix& x) {
    check(
        cublasLtMatrixLayoutCreate(&out.value, cuda_type(x.dtype), uint64_t(x.cols), uint64_t(x.rows), x.ld),
        "layout");
  };
  layout(left_, b), layout(right_, a), layout(result_, c);
}

std::vector<cublasLtMatmulAlgo_t> Product::algorithms(int most) const {
  Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference;
  check(cublasLtMatmulPreferenceCreate(&preference.value), "preference");
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference.value, attribute, &value, sizeof value),
          "preference");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(workspace_bytes));
  // Split sums are added in fp32 in a fixed order, or not split: repeatable, no bf16 partial sums.
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    prefer(attribute, uint32_t(key_.alignment));
  std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<size_t>(most));
  int count = 0;
  check(cublasLtMatmulAlgoGetHeuristic(handle_, operation_.value, left_.value, right_.value, result_.value,
                                       result_.value, preference.value, most, found.data(), &count),
        "no algorithm");
  std::vector<cublasLtMatmulAlgo_t> usable;
  for (int i = 0; i < count; i++)
    if (found[size_t(i)].state == CUBLAS_STATUS_SUCCESS && found[size_t(i)].workspaceSize <= workspace_bytes)
      usable.push_back(found[size_t(i)].algo);
  if (usable.empty())
    throw std::runtime_error(fmt::format("gemm {}: cuBLASLt has no algorithm for it on this GPU", name_));
  return usable;
}

bool Product::can_run(const cublasLtMatmulAlgo_t& algorithm) const {
  cublasLtMatmulHeuristicResult_t result{};
  return cublasLtMatmulAlgoCheck(handle_, operation_.value, left_.value, right_.value, result_.value,
                                 result_.value, &algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
         result.workspaceSize <= workspace_bytes;
}

cublasStatus_t Product::run(const cublasLtMatmulAlgo_t& algorithm, void* c, const void* a, const void* b,
                            bool accumulate, void* workspace, cudaStream_t stream) const {
  const float alpha = 1, beta = accumulate ? 1.0f : 0.0f;
  return cublasLtMatmul(handle_, operation_.value, &alpha, b, left_.value, a, right_.value, &beta, c,
                        result_.value, c, result_.value, &algorithm, workspace, workspace_bytes, stream);
}

GemmChoice choice_of(const cublasLtMatmulAlgo_t& algorithm, double microseconds) {
  GemmChoice choice{{}, microseconds};
  static_assert(sizeof choice.algorithm == sizeof algorithm);
  std::memcpy(choice.algorithm.data(), &algorithm, sizeof algorithm);
  return choice;
}

}  // namespace lt

struct Gemm::Library {
  cublasLtHandle_t handle = nullptr;
  kernels::Stream stream = nullptr;
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  DeviceArray<char> workspace;
  GemmChoices* choices = nullptr;
  std::map<GemmProduct, cublasLtMatmulAlgo_t> ready;  // choices this Gemm has used

  ~Library() {
    if (handle) cublasLtDestroy(handle);
  }

  const cublasLtMatmulAlgo_t& algorithm(const lt::Product& product);
  bool recording() const {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    return cudaStreamIsCapturing(stream, &status) != cudaSuccess || status != cudaStreamCaptureStatusNone;
  }
};

Gemm::Gemm(Device& device, Precision precision, kernels::Stream stream)
    : library_(std::make_unique<Library>()) {
  Library& l = *library_;
  if (const cublasStatus_t status = cublasLtCreate(&l.handle); status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(fmt::format("gemm: cublasLtCreate: {}", cublasLtGetStatusString(status)));
  l.stream = stream ? stream : device.stream();
  l.compute = precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  l.choices = &device.gemm_choices();
  l.workspace = DeviceArray<char>(device, lt::workspace_bytes);
}

Gemm::~Gemm() = default;

std::string Gemm::library() {
  int runtime = 0, driver = 0;
  cudaRuntimeGetVersion(&runtime);
  cudaDriverGetVersion(&driver);
  return fmt::format("cuBLASLt {}, CUDA {}, driver {}", cublasLtGetVersion(), runtime, driver);
}

// The cached choice, by any Gemm or an earlier process; else chooses now, for all.
const cublasLtMatmulAlgo_t& Gemm::Library::algorithm(const lt::Product& product) {
  const auto known = ready.find(product.key());
  if (known != ready.end()) return known->second;
  auto chosen = choices->chosen.find(product.key());
  const bool restored = chosen != choices->chosen.end();
  if (!restored) {
    std::optional<GemmChoice> choice;
    if (choices->tuning && !recording()) {
      auto* const observer = std::exchange(simt::launch_observer, nullptr);  // not part of a step
      choice = lt::fastest(product, workspace.data(), stream);
      simt::launch_observer = observer;
    }
    if (!choice) choice = lt::choice_of(product.algorithms(1).front());
    chosen = choices->chosen.emplace(product.key(), *choice).first;
  }
  cublasLtMatmulAlgo_t algorithm;
  std::memcpy(&algorithm, chosen->second.algorithm.data(), sizeof algorithm);
  if (restored && !product.can_run(algorithm))
    throw std::runtime_error(fmt::format(
        "gemm {}: the algorithm that was stored for it cannot run on this GPU; remove the file of "
        "run.gemm_cache, and gemm.txt of the run",
        product.name()));
  return ready.emplace(product.key(), algorithm).first->second;
}

void Gemm::multiply(Matrix c, Matrix a, bool transpose_a, Matrix b, bool transpose_b, bool accumulate) {
  Library& l = *library_;
  const lt::Product product(l.handle, l.compute, c, a, transpose_a, b, transpose_b);
  const cublasLtMatmulAlgo_t& algorithm = l.algorithm(product);
  std::string name;
  const simt::Observed observed(
      [&] { return gemm_launch(name, c, a, transpose_a, b, transpose_b, accumulate, l.stream); });
  const cublasStatus_t status =
      product.run(algorithm, c.data, a.data, b.data, accumulate, l.workspace.data(), l.stream);
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(
        fmt::format("gemm {}: cublasLtMatmul: {}", product.name(), cublasLtGetStatusString(status)));
}

}  // namespace warpbert
