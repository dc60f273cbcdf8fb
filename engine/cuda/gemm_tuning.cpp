// Operands are random: zeros would run faster and hide a varying summation order. Before each run a write of
// twice the L2 cache evicts them, as in a step; events then exclude the host's launch time. Algorithms whose
// bits vary are rejected.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <stdexcept>

#include "gemm_library.h"

namespace warpbert::lt {
namespace {

constexpr int most_candidates = 48, first_runs = 3, finalists = 5, final_runs = 9;
constexpr double seconds_for_candidates = 0.1;  // per product; the library lists likely ones first

void check(cudaError_t e, const GemmPlan& plan) {
  if (e != cudaSuccess)
    throw std::runtime_error(
        fmt::format("gemm {}: timing its algorithms: {}", plan.name(), cudaGetErrorString(e)));
}

struct Memory {
  char* p = nullptr;
  size_t bytes = 0;
  Memory() = default;
  Memory(const Memory&) = delete;
  ~Memory() { cudaFree(p); }
  bool allocate(size_t n) {
    bytes = n;
    if (cudaMalloc(reinterpret_cast<void**>(&p), n) == cudaSuccess) return true;
    cudaGetLastError();  // clear the error: there is a fallback
    return false;
  }
};

// Repeats every 49,999, so that no matrix row repeats another.
template <class T>
const std::vector<T>& random_block() {
  static const std::vector<T> block = [] {
    std::mt19937 generator(1);
    std::vector<T> values(49999);
    for (T& v : values) v = from_float<T>(float(generator() % 2001) / 1000 - 1);
    return values;
  }();
  return block;
}

class Autotuner {
 public:
  Autotuner(const GemmPlan& plan, void* workspace, cudaStream_t stream)
      : plan_(plan), workspace_(workspace), stream_(stream) {}

  bool allocate() {
    const GemmKey& p = plan_.key();
    const size_t input = p.input == GemmKey::Input::bf16 ? 2 : 4;
    int device = 0, cache = 0;
    check(cudaGetDevice(&device), plan_);
    check(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, device), plan_);
    const size_t c = size_t(p.m) * size_t(p.ldc) * size_of(p.output);
    if (!a_.allocate(size_t(p.transpose_a ? p.k : p.m) * size_t(p.lda) * input) ||
        !b_.allocate(size_t(p.transpose_b ? p.n : p.k) * size_t(p.ldb) * input) || !expected_.allocate(c) ||
        !c_.allocate(c) || !flushed_.allocate(std::max<size_t>(2 * size_t(cache), 1 << 20)) ||
        !differences_.allocate(sizeof(unsigned)))
      return false;
    for (Event& e : begin_) check(cudaEventCreate(&e.value), plan_);
    for (Event& e : end_) check(cudaEventCreate(&e.value), plan_);
    fill(a_, input), fill(b_, input);
    return true;
  }

  // Median in microseconds; empty if the algorithm is rejected.
  std::optional<double> time(const cublasLtMatmulAlgo_t& algorithm, int runs) {
    check(cudaMemsetAsync(expected_.p, 0, expected_.bytes, stream_), plan_);
    check(cudaMemsetAsync(c_.p, 0, c_.bytes, stream_), plan_);
    check(cudaMemsetAsync(differences_.p, 0, differences_.bytes, stream_), plan_);
    if (run(algorithm, expected_) != CUBLAS_STATUS_SUCCESS) return refused();  // warm-up: also loads the code
    check(cudaStreamSynchronize(stream_), plan_);
    for (int i = 0; i < runs; i++) {
      check(cudaMemsetAsync(flushed_.p, i, flushed_.bytes, stream_), plan_);
      check(cudaEventRecord(begin_[i].value, stream_), plan_);
      if (run(algorithm, c_) != CUBLAS_STATUS_SUCCESS) return refused();
      check(cudaEventRecord(end_[i].value, stream_), plan_);
      kernels::count_differences(stream_, reinterpret_cast<unsigned*>(differences_.p), expected_.p, c_.p,
                                 c_.bytes);
    }
    unsigned differences = 0;
    check(cudaMemcpyAsync(&differences, differences_.p, sizeof differences, cudaMemcpyDeviceToHost, stream_),
          plan_);
    check(cudaStreamSynchronize(stream_), plan_);
    if (differences) return {};
    std::vector<float> milliseconds(static_cast<size_t>(runs));
    for (size_t i = 0; i < milliseconds.size(); i++)
      check(cudaEventElapsedTime(&milliseconds[i], begin_[i].value, end_[i].value), plan_);
    std::sort(milliseconds.begin(), milliseconds.end());
    return milliseconds[milliseconds.size() / 2] * 1e3;
  }

 private:
  cublasStatus_t run(const cublasLtMatmulAlgo_t& algorithm, Memory& c) {
    return plan_.run(algorithm, {c.p, a_.p, b_.p}, Grad::overwrite, workspace_, stream_);
  }
  std::optional<double> refused() {
    cudaGetLastError();  // clear the launch error
    check(cudaStreamSynchronize(stream_), plan_);
    return {};
  }
  void fill(Memory& m, size_t element) {
    const void* block =
        element == 2 ? static_cast<const void*>(random_block<bf16>().data()) : random_block<float>().data();
    size_t done = std::min(m.bytes, random_block<float>().size() * element);
    check(cudaMemcpyAsync(m.p, block, done, cudaMemcpyHostToDevice, stream_), plan_);
    while (done < m.bytes) {
      const size_t more = std::min(done, m.bytes - done);
      check(cudaMemcpyAsync(m.p + done, m.p, more, cudaMemcpyDeviceToDevice, stream_), plan_);
      done += more;
    }
  }

  const GemmPlan& plan_;
  void* workspace_;
  cudaStream_t stream_;
  Memory a_, b_, c_, expected_, flushed_, differences_;
  Event begin_[final_runs], end_[final_runs];
};

// Whole sums, or splits added in fp32 by a second pass.
bool sums_in_order(const cublasLtMatmulAlgo_t& algorithm) {
  uint32_t scheme = 0;
  size_t written = 0;
  if (cublasLtMatmulAlgoConfigGetAttribute(&algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &scheme,
                                           sizeof scheme, &written) != CUBLAS_STATUS_SUCCESS)
    return true;  // no such setting
  return scheme == CUBLASLT_REDUCTION_SCHEME_NONE || scheme == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
}

}  // namespace

std::optional<GemmAlgorithm> autotune(const GemmPlan& plan, void* workspace, cudaStream_t stream) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const auto candidates = plan.algorithms(most_candidates);
  check(cudaDeviceSynchronize(), plan);  // other streams would distort the times
  Autotuner tuner(plan, workspace, stream);
  if (!tuner.allocate()) return {};

  std::vector<std::pair<double, size_t>> times;  // (time, candidate)
  for (size_t i = 0; i < candidates.size(); i++) {
    if (!times.empty() &&
        std::chrono::duration<double>(Clock::now() - begin).count() > seconds_for_candidates)
      break;
    if (!sums_in_order(candidates[i])) continue;
    if (const auto time = tuner.time(candidates[i], first_runs)) times.emplace_back(*time, i);
  }
  std::sort(times.begin(), times.end());
  times.resize(std::min<size_t>(times.size(), finalists));
  // The finalists run longer; within 1 % cuBLASLt's ranking decides.
  std::sort(times.begin(), times.end(), [](const auto& x, const auto& y) { return x.second < y.second; });
  std::optional<GemmAlgorithm> best;
  for (const auto& [_, i] : times)
    if (const auto time = tuner.time(candidates[i], final_runs);
        time && (!best || *time < 0.99 * best->microseconds))
      best = choice_of(candidates[i], *time);
  return best;
}

}  // namespace warpbert::lt
