// cuBLASLt algorithm of each product; empty on the CPU. Algorithms differ in time and in summation order. The
// run's directory stores the choices, so a resumed run has the same bits.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <string>

#include "dtype.h"

namespace warpbert {

// Row-major c [m, n] = op(a)·op(b), inner dimension k.
struct GemmKey {
  enum class Input { bf16, fp32, tf32 };  // tf32: stored as fp32
  int m, n, k;
  int lda, ldb, ldc;
  Input input;
  DType output;
  bool transpose_a, transpose_b;
  int alignment;  // bytes, of the least aligned operand: a power of two, at most 256
  auto operator<=>(const GemmKey&) const = default;
};

struct GemmAlgorithm {
  // A cublasLtMatmulAlgo_t, valid for the same library version.
  std::array<uint64_t, 8> algorithm;
  double microseconds;  // 0: untimed, the library's first choice
  bool operator==(const GemmAlgorithm&) const = default;
};

struct AlgorithmCache {
  bool tuning = false;  // autotune new products; else take the library's first choice
  std::map<GemmKey, GemmAlgorithm> chosen;
};

// Choices by GPU name and library versions.
using GemmCache = std::map<std::string, std::map<GemmKey, GemmAlgorithm>>;

// The last line holds a count and a checksum.
std::string gemm_cache_text(const GemmCache& cache);
// Throws std::runtime_error "line N: …".
GemmCache parse_gemm_cache(const std::string& text);

}  // namespace warpbert
