// Checks the byte formulas of kernels_bench against loads and stores counted in the simulator.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "bench/kernel_cases.h"
#include "counted_access.h"

using namespace warpbert;

namespace {

// Slack in bytes: the compiler may load only some fields of a scalar struct (AdamStep, RandomState).
constexpr double scalars = 16;

// Unoptimized kernels copy structs whole: a Target has a field that cross_entropy does not use.
#ifdef WARPBERT_UNOPTIMIZED_KERNELS
double unused_bytes(const std::string& row, const bench::StepSizes& s) {
  return row == "cross_entropy" ? 4.0 * s.targets : 0;
}
#else
double unused_bytes(const std::string&, const bench::StepSizes&) { return 0; }
#endif

void check_formulas(const bench::StepSizes& sizes) {
  Device device(1);
  const bench::KernelCases all(device, sizes);
  std::vector<test::Range> ranges;
  for (const auto& array : all.arrays()) ranges.push_back({array.data(), array.size()});
  int counted = 0;
  for (const bench::KernelCase& c : all.cases()) {
    if (c.product) continue;  // the GEMM library is not instrumented
    test::start_counting(ranges);
    c.run();
    const test::Traffic traffic = test::stop_counting();
    INFO(c.name << ": formula " << c.bytes << ", read " << traffic.loaded << ", written " << traffic.stored
                << ", all accesses " << traffic.accessed);
    fmt::print("{:30} {:9.0f} by formula {:9} counted {:6.2f} times accessed\n", c.name, c.bytes,
               traffic.moved(), double(traffic.accessed) / double(traffic.moved()));
    CHECK(std::abs(c.bytes + unused_bytes(c.name, sizes) - double(traffic.moved())) <= scalars);
    counted++;
  }
  CHECK(counted == 31);
}

// Odd sizes: padding rows, a padded vocabulary, words that span several chunks of sorted rows.
bench::StepSizes small(bool fp32) { return {150, 9, 37, 96, 3, 301, fp32}; }

}  // namespace

TEST_CASE("bytes by formula are those the bf16 kernels load and store") { check_formulas(small(false)); }
TEST_CASE("bytes by formula are those the fp32 kernels load and store") { check_formulas(small(true)); }
TEST_CASE("bytes by formula hold where one word fills several chunks, and rows run to the capacity") {
  check_formulas({256, 4, 64, 64, 1, 8, false});
}
