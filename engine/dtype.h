// How numbers are stored, and what a run computes with.
#pragma once
#include <cstddef>

namespace warpbert {

enum class DType { f32, bf16 };
constexpr size_t size_of(DType dtype) { return dtype == DType::bf16 ? 2 : 4; }

// fp32: everything fp32. bf16: activations and matrices bf16, fp32 masters, accumulation and statistics.
// tf32: stored as fp32, GEMMs on a GPU's tf32 matrix units.
enum class Precision { bf16, fp32, tf32 };

}  // namespace warpbert
