// Every kernel at the sizes of one training step: time, bytes and floating-point operations by formula, and the floor
// those imply. On the CPU the times are the simulator's and say nothing about a GPU.
//
// kernels_bench [--tokens=992] [--pairs=64] [--targets=166] [--hidden=768] [--heads=12] [--vocabulary=6413] [--fp32]
//               [--gbps=4300]   (what a large copy reaches on the device; for the floor)
//               [--tune]        (algorithms of the matrix products are timed first, as with run.gemm_tuning)
//               [--launches]    (runs nothing: a line of JSON for each launch of each row; scripts/kernel_table)
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/graph.h"
#include "kernel_cases.h"
#include "kernels/launch_observer.h"
#include "kernels/simt_name.h"

using namespace warpbert;
using bench::KernelCase;

namespace {

std::map<std::string, double> settings = {{"tokens", 992},      {"pairs", 64},  {"targets", 166}, {"hidden", 768},
                                          {"heads", 12},        {"fp32", 0},    {"gbps", 4300},   {"tune", 0},
                                          {"vocabulary", 6413}, {"launches", 0}};

// On a GPU the work is repeated in a graph, so that neither launches nor the host's waiting are in the time.
void time(Device& device, const KernelCase& c) {
  using clock = std::chrono::steady_clock;
  const int repeats = Device::is_gpu() ? 20 : 1;
  c.run();  // allocates, chooses algorithms
  Graph graph(device, [&] {
    for (int i = 0; i < repeats; i++) c.run();
  });
  graph.replay();
  device.synchronize();
  std::vector<double> times;
  const auto begin = clock::now();
  do {
    const auto start = clock::now();
    graph.replay();
    device.synchronize();
    times.push_back(std::chrono::duration<double>(clock::now() - start).count() / repeats);
  } while (times.size() < 5 || (times.size() < 200 && clock::now() - begin < std::chrono::milliseconds(300)));
  std::sort(times.begin(), times.end());
  const double t = times[times.size() / 2], floor = c.bytes / (settings["gbps"] * 1e9);
  fmt::print("{:28} {:>10.1f} {:>9.2f} {:>9.2f} {:>9.1f} {:>9.1f} {:>10.2f} {:>7.1f}\n", c.name, t * 1e6,
             c.bytes * 1e-6, c.flops * 1e-9, c.bytes / t * 1e-9, c.flops / t * 1e-9, floor * 1e6, t / floor);
}

// A line for each launch of a case, which is recorded and not run.
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

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; i++) {
    const std::string argument = argv[i], name = argument.substr(0, argument.find('='));
    if (name.size() < 3 || !settings.count(name.substr(2))) return fmt::print(stderr, "unknown: {}\n", argument), 2;
    settings[name.substr(2)] = name == argument ? 1 : std::atof(argument.c_str() + name.size() + 1);
  }
  const auto whole = [](const char* name) { return int(settings[name]); };
  Device device;
  device.gemm_choices().tuning = settings["tune"] != 0;
  const bench::KernelCases all(device, {whole("tokens"), whole("pairs"), whole("targets"), whole("hidden"),
                                        whole("heads"), whole("vocabulary"), settings["fp32"] != 0});
  if (settings["launches"] != 0) {
    for (const KernelCase& c : all.cases())
      if (!c.product) print_launches(device, c);
    return 0;
  }
  fmt::print("{}; {}; times are {}\n", device.name(), settings["fp32"] != 0 ? "fp32" : "bf16",
             Device::is_gpu() ? "medians on the device, in a graph of 20" : "the simulator's");
  fmt::print("{:28} {:>10} {:>9} {:>9} {:>9} {:>9} {:>10} {:>7}\n", "kernel", "µs", "MB", "GFLOP", "GB/s", "GFLOP/s",
             "floor µs", "ratio");
  for (const KernelCase& c : all.cases()) time(device, c);
}
