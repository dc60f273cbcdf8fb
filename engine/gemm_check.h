// Shared by gemm_cpu.cpp and gemm_cuda.cpp.
#pragma once
#include <string>

#include "engine/gemm.h"

namespace warpbert {

struct Product {
  int m, n, k;  // [m, n] = [m, k]·[k, n]
};

// Throws std::invalid_argument where Gemm::multiply must.
Product check_product(Matrix c, ConstMatrix a, bool transpose_a, ConstMatrix b, bool transpose_b);

std::string describe_product(Matrix c, ConstMatrix a, bool transpose_a, ConstMatrix b, bool transpose_b);

}  // namespace warpbert
