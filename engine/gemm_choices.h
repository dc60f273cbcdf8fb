// Which of its algorithms the GPU's matrix library takes for which product.
//
// Algorithms differ in time, by a factor of several for small products, and in the order of their sums, hence in the
// last bits. So they are timed, and what was chosen is remembered: by the process for all its Gemms, in a run's
// directory, so that a run that goes on has the bits it would have had, and in a file of the machine, so that nothing
// is timed twice. On the CPU all this is empty.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <string>

#include "dtype.h"

namespace warpbert {

// All that the library's algorithms depend on: c [m, n] = op(a)·op(b), k terms each, row-major.
struct GemmProduct {
  enum class Input { bf16, fp32, tf32 };  // tf32: stored as fp32
  int m, n, k;
  int lda, ldb, ldc;
  Input input;
  DType output;
  bool transpose_a, transpose_b;
  int alignment;  // bytes, of the least aligned operand: a power of two, 256 at most
  auto operator<=>(const GemmProduct&) const = default;
};

struct GemmChoice {
  // A cublasLtMatmulAlgo_t, which may be stored as it is for the same version of the library (cublasLt.h).
  std::array<uint64_t, 8> algorithm;
  double microseconds;  // 0: not timed, the library's first choice
  bool operator==(const GemmChoice&) const = default;
};

// What a Gemm looks its products up in, and adds to.
struct GemmChoices {
  bool tuning = false;  // time a product's algorithms when it is met first; else the library's first choice is taken
  std::map<GemmProduct, GemmChoice> chosen;
};

// The choices of several machines: the GPU's name and the versions of the libraries -> its choices.
using GemmCache = std::map<std::string, std::map<GemmProduct, GemmChoice>>;

// As a file holds them: a section a machine, a line a product, the last line a count and a checksum of all before.
std::string gemm_cache_text(const GemmCache& cache);
// Throws std::runtime_error "line N: …" for anything that gemm_cache_text would not have written.
GemmCache parse_gemm_cache(const std::string& text);

}  // namespace warpbert
