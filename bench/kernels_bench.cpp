// Every kernel at one training step's sizes: time, bytes and FLOPs by formula, and the lower bound that the
// bytes imply. CPU times are the simulator's and say nothing about a GPU.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/graph.h"
#include "io/format.h"
#include "kernel_cases.h"
#include "simt/kernel_name.h"
#include "simt/launch_observer.h"
#include "train/config/build_info.h"
#include "train/config/command_line.h"
#include "train/programs/main.h"
#include "train/run/progress.h"

using namespace warpbert;
using bench::KernelCase;

namespace {

struct Settings {
  bench::StepSizes sizes;
  double gbps = 4300;
  std::string only;
  bool tune = false, json = false, launches = false, once = false;
};

constexpr int few = 20, many = 220;

// Median from a graph launch until the host sees its end, over 0.3 s (5 to 200 launches).
double median_seconds(Device& device, Graph& graph) {
  using clock = std::chrono::steady_clock;
  graph.launch();
  device.synchronize();
  std::vector<double> times;
  const auto begin = clock::now();
  do {
    const auto start = clock::now();
    graph.launch();
    device.synchronize();
    times.push_back(io::seconds_since(start));
  } while (times.size() < 5 || (times.size() < 200 && clock::now() - begin < std::chrono::milliseconds(300)));
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// A graph launch and the host's wake-up take some ten microseconds, more than most kernels. The difference of
// many and few repeats is the kernels' own time.
double seconds(Device& device, const KernelCase& c) {
  c.run();  // allocates, chooses algorithms
  const auto repeated = [&](int repeats) {
    Graph graph(device, [&] {
      for (int i = 0; i < repeats; i++) c.run();
    });
    return median_seconds(device, graph);
  };
  return Device::is_gpu() ? (repeated(many) - repeated(few)) / (many - few) : repeated(1);
}

void time(Device& device, const KernelCase& c, double gbps, bool json) {
  const double t = seconds(device, c), bound = c.bytes / (gbps * 1e9);
  if (json) {
    const nlohmann::ordered_json line = {{"row", c.name},           {"us", t * 1e6},
                                         {"bytes", c.bytes},        {"flops", c.flops},
                                         {"bound_us", bound * 1e6}, {"product", c.product}};
    fmt::print("{}\n", line.dump());
  } else {
    fmt::print("{:28} {:>10.2f} {:>9.2f} {:>9.2f} {:>9.1f} {:>9.1f} {:>10.2f} {:>7.1f}\n", c.name, t * 1e6,
               c.bytes * 1e-6, c.flops * 1e-9, c.bytes / t * 1e-9, c.flops / t * 1e-9, bound * 1e6,
               t / bound);
  }
  std::fflush(stdout);  // results survive a time limit
}

// Prints the launches of a case, which is captured and not run.
class Printer : public simt::LaunchObserver {
 public:
  explicit Printer(const KernelCase& c) : case_(c) {}
  void before(const simt::Launch& l) override {
    const nlohmann::ordered_json line = {
        {"row", case_.name},   {"kernel", simt::kernel_name(l.signature)}, {"grid", l.grid},
        {"block", l.block},    {"dynamic_shared", l.dynamic_bytes},        {"bytes", case_.bytes},
        {"flops", case_.flops}};
    fmt::print("{}\n", line.dump());
  }
  void after(const simt::Launch&) override {}

 private:
  const KernelCase& case_;
};

void print_launches(Device& device, const KernelCase& c) {
  Printer printer(c);
  simt::launch_observer = &printer;
  const Graph graph(device, c.run);
  simt::launch_observer = nullptr;
}

int time_kernels(int argc, char** argv) {
  Settings s;
  CommandLine line("kernels_bench",
                   "Times every kernel at the sizes of one training step, with its lower bound.");
  const auto size = [&](const char* name, const char* meaning, int& value) {
    line.integer(name, "N", meaning, value, 1, 10'000'000);
  };
  size("--tokens", "tokens of the packed batch", s.sizes.tokens);
  size("--pairs", "pairs of the batch", s.sizes.pairs);
  size("--targets", "tokens to predict", s.sizes.targets);
  size("--hidden", "hidden size", s.sizes.hidden);
  size("--heads", "attention heads", s.sizes.heads);
  size("--vocabulary", "rows of the word embedding", s.sizes.vocabulary);
  line.toggle("--fp32", "activations and matrices in fp32, not bf16", s.sizes.fp32);
  line.number("--gbps", "N", "GB/s of large copies, for the lower bound", s.gbps);
  line.toggle("--tune", "algorithms of the matrix products are timed first, as with run.gemm_tuning", s.tune);
  line.toggle("--json", "a line of JSON about the build, and one for each row", s.json);
  line.toggle("--launches", "run nothing: a line of JSON for each launch of each row", s.launches);
  line.optional("--only", "ROW", "this row alone", s.only);
  line.toggle("--once", "run each row once and time nothing: for a profiler, or to count what it does",
              s.once);
  if (!line.parse(argc, argv)) return 0;
  if (s.gbps == 0) throw UsageError("--gbps: a rate of 0 has no lower bound");
  Device device;
  device.algorithm_cache().tuning = s.tune;
  const bench::KernelCases all(device, s.sizes);
  std::vector<KernelCase> rows = all.cases();
  if (!s.only.empty()) {
    std::erase_if(rows, [&](const KernelCase& c) { return c.name != s.only; });
    std::string names;
    for (const KernelCase& c : all.cases()) names += (names.empty() ? "" : "; ") + c.name;
    if (rows.empty()) throw UsageError(fmt::format("--only: no row '{}'; there are {}", s.only, names));
  }
  if (s.launches) {
    for (const KernelCase& c : rows)
      if (!c.product) print_launches(device, c);
    return 0;
  }
  if (s.once) {
    for (const KernelCase& c : rows) c.run(), device.synchronize();
    return 0;
  }
  const char* precision = s.sizes.fp32 ? "fp32" : "bf16";
  if (s.json) {
    const nlohmann::ordered_json about = {{"device", device.name()}, {"library", Gemm::library()},
                                          {"build", build_info()},   {"precision", precision},
                                          {"tuned", s.tune},         {"gbps", s.gbps}};
    fmt::print("{}\n", about.dump());
  } else {
    fmt::print("{}; {}; {}; {}; times are {}\n", device.name(), Gemm::library(), build_info(), precision,
               Device::is_gpu()
                   ? fmt::format("medians on the device, of a graph of {} less one of {}; what fits its L2 "
                                 "cache comes from there",
                                 many, few)
                   : "the simulator's");
    fmt::print("{:28} {:>10} {:>9} {:>9} {:>9} {:>9} {:>10} {:>7}\n", "kernel", "µs", "MB", "GFLOP", "GB/s",
               "GFLOP/s", "bound µs", "ratio");
  }
  for (const KernelCase& c : rows) time(device, c, s.gbps, s.json);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_main(argc, argv, time_kernels); }
