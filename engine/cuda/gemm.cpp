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

GemmKey key_of(cublasComputeType_t compute, const GemmArgs& args) {
  const GemmShape s = gemm_shape(args);
  const View &a = args.a.view, &b = args.b.view, &c = args.c;
  const auto input = a.dtype == DType::bf16                    ? GemmKey::Input::bf16
                     : compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? GemmKey::Input::tf32
                                                               : GemmKey::Input::fp32;
  return {s.m,
          s.n,
          s.k,
          a.ld,
          b.ld,
          c.ld,
          input,
          c.dtype,
          args.a.transposed,
          args.b.transposed,
          alignment_of({a.data, b.data, c.data})};
}

}  // namespace

void GemmPlan::check(cublasStatus_t status, const char* what) const {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(fmt::format("gemm {}: {}: {}", name_, what, cublasLtGetStatusString(status)));
}

GemmPlan::GemmPlan(cublasLtHandle_t handle, cublasComputeType_t compute, const GemmArgs& args)
    : handle_(handle),
      key_(key_of(compute, args)),
      name_(fmt::format("[{}, {}] of {} terms", key_.m, key_.n, key_.k)) {
  check(cublasLtMatmulDescCreate(&operation_.value, compute, CUDA_R_32F), "descriptor");
  const auto transpose = [&](cublasLtMatmulDescAttributes_t which, bool transposed) {
    const cublasOperation_t flip = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    check(cublasLtMatmulDescSetAttribute(operation_.value, which, &flip, sizeof flip), "transpose");
  };
  transpose(CUBLASLT_MATMUL_DESC_TRANSA, args.b.transposed);
  transpose(CUBLASLT_MATMUL_DESC_TRANSB, args.a.transposed);
  const auto layout = [&](Layout& out, const View& x) {
    check(cublasLtMatrixLayoutCreate(&out.value, cuda_type(x.dtype), uint64_t(x.cols),
                                     uint64_t(x.rows.capacity), x.ld),
          "layout");
  };
  layout(left_, args.b.view), layout(right_, args.a.view), layout(result_, args.c);
}

std::vector<cublasLtMatmulAlgo_t> GemmPlan::algorithms(int most) const {
  Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference;
  check(cublasLtMatmulPreferenceCreate(&preference.value), "preference");
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference.value, attribute, &value, sizeof value),
          "preference");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(workspace_bytes));
  // Splits are added in fp32 in a fixed order: repeatable, no bf16 partial sums.
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

bool GemmPlan::can_run(const cublasLtMatmulAlgo_t& algorithm) const {
  cublasLtMatmulHeuristicResult_t result{};
  return cublasLtMatmulAlgoCheck(handle_, operation_.value, left_.value, right_.value, result_.value,
                                 result_.value, &algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
         result.workspaceSize <= workspace_bytes;
}

cublasStatus_t GemmPlan::run(const cublasLtMatmulAlgo_t& algorithm, const Pointers& p, Grad mode,
                             void* workspace, cudaStream_t stream) const {
  const float alpha = 1, beta = mode == Grad::accumulate ? 1.0f : 0.0f;
  return cublasLtMatmul(handle_, operation_.value, &alpha, p.b, left_.value, p.a, right_.value, &beta, p.c,
                        result_.value, p.c, result_.value, &algorithm, workspace, workspace_bytes, stream);
}

GemmAlgorithm choice_of(const cublasLtMatmulAlgo_t& algorithm, double microseconds) {
  GemmAlgorithm choice{{}, microseconds};
  static_assert(sizeof choice.algorithm == sizeof algorithm);
  std::memcpy(choice.algorithm.data(), &algorithm, sizeof algorithm);
  return choice;
}

}  // namespace lt

namespace {
// Hides autotuning from the launch observer.
struct Unobserved {
  simt::LaunchObserver* const observer = std::exchange(simt::launch_observer, nullptr);
  ~Unobserved() { simt::launch_observer = observer; }
};
}  // namespace

struct Gemm::Library {
  Handle<cublasLtHandle_t, cublasLtDestroy> handle;
  kernels::Stream stream = nullptr;
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  DeviceArray<char> workspace;
  AlgorithmCache* choices = nullptr;
  std::map<GemmKey, cublasLtMatmulAlgo_t> ready;

  const cublasLtMatmulAlgo_t& algorithm(const lt::GemmPlan& plan);
  bool capturing() const {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    return cudaStreamIsCapturing(stream, &status) != cudaSuccess || status != cudaStreamCaptureStatusNone;
  }
};

Gemm::Gemm(Device& device, Precision precision, kernels::Stream stream)
    : library_(std::make_unique<Library>()) {
  Library& l = *library_;
  if (const cublasStatus_t status = cublasLtCreate(&l.handle.value); status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(fmt::format("gemm: cublasLtCreate: {}", cublasLtGetStatusString(status)));
  l.stream = stream ? stream : device.stream();
  l.compute = precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  l.choices = &device.algorithm_cache();
  l.workspace = DeviceArray<char>(device, lt::workspace_bytes);
}

Gemm::~Gemm() = default;

std::string Gemm::library() {
  int runtime = 0, driver = 0;
  cudaRuntimeGetVersion(&runtime);
  cudaDriverGetVersion(&driver);
  return fmt::format("cuBLASLt {}, CUDA {}, driver {}", cublasLtGetVersion(), runtime, driver);
}

// The cached choice; else chooses now, for all Gemms.
const cublasLtMatmulAlgo_t& Gemm::Library::algorithm(const lt::GemmPlan& plan) {
  const auto known = ready.find(plan.key());
  if (known != ready.end()) return known->second;
  auto chosen = choices->chosen.find(plan.key());
  const bool restored = chosen != choices->chosen.end();
  if (!restored) {
    std::optional<GemmAlgorithm> choice;
    if (choices->tuning && !capturing()) {
      const Unobserved unobserved;
      choice = lt::autotune(plan, workspace.data(), stream);
    }
    if (!choice) choice = lt::choice_of(plan.algorithms(1).front());
    chosen = choices->chosen.emplace(plan.key(), *choice).first;
  }
  cublasLtMatmulAlgo_t algorithm;
  std::memcpy(&algorithm, chosen->second.algorithm.data(), sizeof algorithm);
  if (restored && !plan.can_run(algorithm))
    throw std::runtime_error(fmt::format(
        "gemm {}: the algorithm that was stored for it cannot run on this GPU; remove the file of "
        "run.gemm_cache, and gemm.txt of the run",
        plan.name()));
  return ready.emplace(plan.key(), algorithm).first->second;
}

void Gemm::multiply(const GemmArgs& args) {
  Library& l = *library_;
  const lt::GemmPlan plan(l.handle.value, l.compute, args);
  const cublasLtMatmulAlgo_t& algorithm = l.algorithm(plan);
  std::string name;
  const simt::Observed observed([&] { return gemm_launch(name, args, l.stream); });
  const cublasStatus_t status = plan.run(algorithm, {args.c.data, args.a.view.data, args.b.view.data},
                                         args.mode, l.workspace.data(), l.stream);
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(
        fmt::format("gemm {}: cublasLtMatmul: {}", plan.name(), cublasLtGetStatusString(status)));
}

}  // namespace warpbert
