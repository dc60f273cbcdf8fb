// Shipped kernels, and sizes at which a trace of each is readable.
#pragma once
#include <string>
#include <vector>

#include "bench/kernel_cases.h"
#include "trace.h"

namespace warpbert::study {

struct ShippedKernel {
  std::string name;  // without "_kernel"
  std::string row;   // of bench::KernelCases
  bench::StepSizes sizes;
};

const std::vector<ShippedKernel>& shipped_kernels();

// Takes names with or without "_kernel". Throws io::Error with the nearest name, or all.
const ShippedKernel& find_kernel(const std::string& name);

// False for attention_backward_query unless a sequence is longer than a tile.
bool is_launched(const ShippedKernel&, const bench::StepSizes&);

const std::vector<Member>& argument_members();

void run(const ShippedKernel&, const bench::StepSizes&);

// Throws io::Error if the block is outside of the grid.
Recording record(const ShippedKernel&, const bench::StepSizes&, std::array<unsigned, 3> block);

}  // namespace warpbert::study
