// Storage types, and the precision of a run.
#pragma once
#include <cstddef>

namespace warpbert {

enum class DType { f32, bf16 };
constexpr size_t size_of(DType dtype) { return dtype == DType::bf16 ? 2 : 4; }

// fp32: everything fp32. tf32: stored as fp32, GEMMs on a GPU's tf32 tensor cores. bf16: activations and
// matrices bf16; master weights, accumulation and statistics fp32.
enum class Precision { bf16, fp32, tf32 };

}  // namespace warpbert
