// Storage types of tensors, and the precision a model computes in.
#pragma once
#include <cstddef>

namespace warpbert {

enum class DType { f32, bf16 };

constexpr size_t size_of(DType type) { return type == DType::bf16 ? 2 : 4; }
constexpr const char* name_of(DType type) { return type == DType::bf16 ? "bf16" : "f32"; }

// fp32: everything in float. bf16: activations and weights stored in bf16, with float masters, sums and statistics.
// tf32: stored as fp32, but a GPU's matrix products round their factors to 10 bits of mantissa.
enum class Precision { fp32, bf16, tf32 };

}  // namespace warpbert
