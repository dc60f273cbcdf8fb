// Every kernel at one training step's sizes: time, bytes and FLOPs by formula, and the lower bound that the
// bytes imply. CPU times are the simulator's and say nothing about a GPU.
//
// kernels_bench [--tokens=992] [--pairs=64] [--targets=166] [--hidden=768] [--heads=12] [--vocabulary=6413]
//               [--fp32] [--gbps=4300] [--tune] [--json] [--launches] [--once] [--only=ROW]
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
  std::string tokens = "992", pairs = "64", targets = "166", hidden = "768", heads = "12",
              vocabulary = "6413", gbps = "4300", only;
  bool fp32 = false, tune = false, json = false, launches = false, once = false;
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
                                         {"floor_us", bound * 1e6}, {"product", c.product}};
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
  line.optional("--tokens", "N", "of the packed batch", s.tokens);
  line.optional("--pairs", "N", "of the batch", s.pairs);
  line.optional("--targets", "N", "that the batch is to predict", s.targets);
  line.optional("--hidden", "N", "size of the model", s.hidden);
  line.optional("--heads", "N", "of attention", s.heads);
  line.optional("--vocabulary", "N", "tokens", s.vocabulary);
  line.toggle("--fp32", "activations and matrices in fp32, not bf16", s.fp32);
  line.optional("--gbps", "N", "what large copies reach, for the lower bound", s.gbps);
  line.toggle("--tune", "algorithms of the matrix products are timed first, as with run.gemm_tuning", s.tune);
  line.toggle("--json", "a line of JSON about the build, and one for each row", s.json);
  line.toggle("--launches", "run nothing: a line of JSON for each launch of each row", s.launches);
  line.optional("--only", "ROW", "this row alone", s.only);
  line.toggle("--once", "run each row once and time nothing: for a profiler, or to count what it does",
              s.once);
  if (!line.parse(argc, argv)) return 0;
  const auto whole = [](const char* flag, const std::string& text) {
    return int(parse_integer(flag, text, 1, 10'000'000));
  };
  const double gbps = parse_number("--gbps", s.gbps);
  if (gbps == 0) throw UsageError("--gbps: a rate of 0 has no floor");
  const bench::StepSizes sizes = {whole("--tokens", s.tokens),
                                  whole("--pairs", s.pairs),
                                  whole("--targets", s.targets),
                                  whole("--hidden", s.hidden),
                                  whole("--heads", s.heads),
                                  whole("--vocabulary", s.vocabulary),
                                  s.fp32};

  Device device;
  device.algorithm_cache().tuning = s.tune;
  const bench::KernelCases all(device, sizes);
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
  const char* precision = s.fp32 ? "fp32" : "bf16";
  if (s.json) {
    const nlohmann::ordered_json about = {{"device", device.name()}, {"library", Gemm::library()},
                                          {"build", build_info()},   {"precision", precision},
                                          {"tuned", s.tune},         {"gbps", gbps}};
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
  for (const KernelCase& c : rows) time(device, c, gbps, s.json);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_main(argc, argv, time_kernels); }
