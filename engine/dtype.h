#pragma once
#include "kernels/kernels.h"

namespace warpbert {

using kernels::DType;
using kernels::Grad;
using kernels::GradView;
using kernels::size_of;
using kernels::View;

// tf32: stored as fp32, GEMMs on a GPU's tf32 tensor cores. bf16: activations and matrices; master weights,
// accumulation and statistics are fp32.
enum class Precision { bf16, fp32, tf32 };

}  // namespace warpbert
