// Algorithm cache: the cuBLASLt algorithm of each product. Empty on the CPU.
//
// Algorithms differ in time, several-fold for small products, and in summation order, hence in the last bits.
// The process keeps its choices. The run's directory stores them, so a resumed run has the same bits. A file
// per environment stores them too, so nothing is timed twice.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <string>

#include "dtype.h"

namespace warpbert {

// Cache key: all that the choice depends on. Row-major c [m, n] = op(a)·op(b), inner dimension k.
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
  // A cublasLtMatmulAlgo_t, storable for the same library version (cublasLt.h).
  std::array<uint64_t, 8> algorithm;
  double microseconds;  // 0: untimed, the library's first choice
  bool operator==(const GemmAlgorithm&) const = default;
};

// The cache of one device.
struct AlgorithmCache {
  bool tuning = false;  // autotune new products; else take the library's first choice
  std::map<GemmKey, GemmAlgorithm> chosen;
};

// Environment (GPU name, library versions) -> its choices.
using GemmCache = std::map<std::string, std::map<GemmKey, GemmAlgorithm>>;

// Text form: a section per environment, a line per product; the last line holds a count and a checksum.
std::string gemm_cache_text(const GemmCache& cache);
// Throws std::runtime_error "line N: …" for text that gemm_cache_text does not write.
GemmCache parse_gemm_cache(const std::string& text);

}  // namespace warpbert
