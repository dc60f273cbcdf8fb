#include "kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "io/error.h"
#include "io/text.h"
#include "kernels/dropout.cuh"
#include "kernels/kernels.h"

namespace warpbert::study {
namespace {

bench::StepSizes sizes(int tokens = 40, int pairs = 2) { return {tokens, pairs, 9, 256, 4, 301, false}; }

constexpr int attention_tile = 64;  // rows; of fp32 with 128 columns a head 32

}  // namespace

const std::vector<ShippedKernel>& shipped_kernels() {
  static const std::vector<ShippedKernel> all = {
      {"adam", "adam, a layer", sizes()},
      {"add", "add, a layer", sizes()},
      {"add_dropout_norm_backward", "add_dropout_norm_backward", sizes()},
      {"add_dropout_norm_forward", "add_dropout_norm_forward", sizes()},
      {"attention_backward", "attention_backward", sizes()},
      {"attention_backward_query", "attention_backward", sizes(160)},  // only beyond a tile of 64 rows
      {"attention_forward", "attention_forward", sizes()},
      {"bias_gelu_backward", "bias_gelu_backward", sizes()},
      {"bias_gelu_forward", "bias_gelu_forward", sizes()},
      {"cast", "cast to bf16, a layer", sizes()},
      {"clip", "clip", sizes()},
      {"count_differences", "count_differences, a layer", sizes()},
      {"cross_entropy", "cross_entropy", sizes()},
      {"embedding_backward_position", "embedding_backward_position", sizes()},
      {"embedding_backward_word", "embedding_backward_word", sizes()},
      {"embedding_backward_word_finish", "embedding_backward_word", sizes()},
      {"embedding_forward", "embedding_forward", sizes()},
      {"gather_rows", "gather_rows", sizes()},
      {"layer_norm_backward", "layer_norm_backward", sizes()},
      {"layer_norm_forward", "layer_norm_forward", sizes()},
      {"log_probabilities", "log_probabilities", sizes()},
      {"partial_sums", "partial_sums", sizes()},
      {"perturb", "perturb, word table", sizes()},
      {"reduce_partials", "reduce_partials", sizes()},
      {"reject_outlier", "reject_outlier", sizes()},
      {"scatter_rows", "scatter_rows", sizes()},
      {"squared_norm", "squared_norm, a layer", sizes()},
      {"sum", "squared_norm, a layer", sizes()},
      {"sum_losses", "sum_losses", sizes()},
      {"swap", "swap, a layer", sizes()},
  };
  return all;
}

const ShippedKernel& find_kernel(const std::string& name) {
  const auto& all = shipped_kernels();
  const auto found = std::find_if(all.begin(), all.end(), [&](const ShippedKernel& k) {
    return k.name == name || k.name + "_kernel" == name;
  });
  if (found != all.end()) return *found;
  std::vector<std::string> names;
  for (const ShippedKernel& k : all) names.push_back(k.name);
  const std::string near = io::nearest(name, names);
  io::fail("there is no kernel {}{}; `study list` prints all {}", io::quote(name),
           near.empty() ? "" : fmt::format("; did you mean {}?", near), names.size());
}

bool is_launched(const ShippedKernel& kernel, const bench::StepSizes& s) {
  return kernel.name != "attention_backward_query" || (s.tokens + s.pairs - 1) / s.pairs > attention_tile;
}

const std::vector<Member>& argument_members() {
  static const std::vector<Member> all = [] {
    using namespace kernels;
    std::vector<Member> m = {{"Rows", offsetof(Rows, count), "count:int"},
                             {"DropoutArgs", offsetof(DropoutArgs, random), "random:int"}};
    for (size_t i = 0; i < size_t(max_reductions);
         i++)  // Reductions of partial_sums.cu: an array of Reduction
      m.push_back({"Reductions", i * sizeof(Reduction) + offsetof(Reduction, out),
                   fmt::format("all[{}].out:float", i)}),
          m.push_back({"Reductions", i * sizeof(Reduction) + offsetof(Reduction, partials),
                       fmt::format("all[{}].partials:float", i)});
    return m;
  }();
  return all;
}

namespace {

class Workbench {
 public:
  explicit Workbench(const bench::StepSizes& sizes) : cases_(device_, sizes) {}

  std::vector<Memory> memory() const {
    std::vector<Memory> all;
    for (const auto& array : cases_.arrays())
      all.push_back({uintptr_t(array.data()), array.size(), nullptr, 0});
    return all;
  }

  void run(const ShippedKernel& kernel) {
    for (const bench::KernelCase& c : cases_.cases())
      if (c.name == kernel.row) c.run();
    device_.synchronize();
  }

 private:
  Device device_{1};
  bench::KernelCases cases_;
};

void check_launched(const ShippedKernel& kernel, const bench::StepSizes& sizes) {
  if (!is_launched(kernel, sizes))
    io::fail("{} is not launched at these sizes: it takes more than {} tokens a pair", kernel.name,
             attention_tile);
}

}  // namespace

void run(const ShippedKernel& kernel, const bench::StepSizes& sizes) {
  check_launched(kernel, sizes);
  Workbench(sizes).run(kernel);
}

Recording record(const ShippedKernel& kernel, const bench::StepSizes& sizes, std::array<unsigned, 3> block) {
  check_launched(kernel, sizes);
  Workbench workbench(sizes);
  Recorder recorder(kernel.name + "_kernel", block, workbench.memory());
  workbench.run(kernel);
  Recording& r = recorder.result();
  if (!r.found) io::fail("{} is not launched at these sizes", kernel.name);
  for (size_t i = 0; i < 3; i++)
    if (block[i] >= r.grid[i])
      io::fail("block ({},{},{}) is outside of the grid ({},{},{}) of {} at these sizes", block[0], block[1],
               block[2], r.grid[0], r.grid[1], r.grid[2], kernel.name);
  return std::move(r);
}

}  // namespace warpbert::study
