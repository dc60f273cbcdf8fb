#include "ladders.h"

#include <fmt/format.h>

#include <bit>
#include <random>
#include <set>

#include "engine/device.h"
#include "io/error.h"
#include "simt/cpu/pool.h"
#include "study/ladders/squared_norm.h"
#include "trace.h"

namespace warpbert::study {
namespace {

struct Rung {
  const char *name, *kernel;
  int values;  // of a block
  ladders::SquaredNorm* launcher;
};
constexpr Rung squared_norm_rungs[] = {
    {"1 atomics", "squared_norm_atomic_kernel", 256, ladders::squared_norm_atomic},
    {"2 tree", "squared_norm_tree_kernel", 256, ladders::squared_norm_tree},
    {"3 two launches", "squared_norm_partials_kernel", 2048, ladders::squared_norm_two_launches},
    {"4 shipped", "squared_norm_kernel", 2048, kernels::squared_norm},
};

// Has the result the same bits in five thread and block orders?
bool is_reproducible(const Rung& rung, Device& device, double* out, double* workspace, const float* x,
                     size_t n) {
  std::set<uint64_t> results;
  const auto run = [&](simt::Order order, unsigned seed) {
    simt::set_order(order, seed);
    rung.launcher(device.stream(), out, workspace, x, n);
    double result;
    device.download(&result, out, sizeof result);
    results.insert(std::bit_cast<uint64_t>(result));
  };
  run(simt::Order::forward, 1), run(simt::Order::reverse, 1);
  for (unsigned seed = 1; seed <= 3; seed++) run(simt::Order::random, seed);
  simt::set_order(simt::Order::forward);
  return results.size() == 1;
}

void print_squared_norm() {
  constexpr size_t n = 32 * 2048;
  constexpr int per = 2048;  // values that the counts are for
  Device device{1};
  std::mt19937 random;
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& v : values) v = normal(random);
  const DeviceArray<float> x(device, values);
  const DeviceArray<double> out(device, 1), workspace(device, kernels::squared_norm_workspace());
  fmt::print("squared_norm, each {} values:\n{:15} {:>5} {:>7} {:>8} {:>7} {:>5} {:>6} {:>5} {:>7}\n", per,
             "rung", "loads", "atomics", "barriers", "sectors", "least", "passes", "least", "bits");
  for (const Rung& rung : squared_norm_rungs) {
    Recording recording;
    {
      Recorder recorder(rung.kernel, {},
                        {{uintptr_t(x.data()), n * sizeof(float)},
                         {uintptr_t(out.data()), sizeof(double)},
                         {uintptr_t(workspace.data()), workspace.size() * sizeof(double)}});
      rung.launcher(device.stream(), out.data(), workspace.data(), x.data(), n);
      device.synchronize();
      recording = std::move(recorder.result());
    }
    if (!recording.found) io::fail("{} is not launched", rung.kernel);
    const Trace trace = build_trace(recording, WARPBERT_SOURCE, {}, 20'000);
    const Totals& t = trace.totals;
    int loads = 0, atomics = 0;  // loads of x by warps; adds by threads
    for (const Step& s : trace.steps) {
      const Event& first = *s.lanes[size_t(std::countr_zero(s.mask))];
      loads += s.kind == Event::load && first.address >= uintptr_t(x.data()) &&
               first.address < uintptr_t(x.data() + n);
      if (s.kind == Event::atomic) atomics += std::popcount(s.mask);
    }
    const int blocks = per / rung.values;
    fmt::print("{:15} {:>5} {:>7} {:>8} {:>7} {:>5} {:>6} {:>5} {:>7}\n", rung.name, loads * blocks,
               atomics * blocks, t.barriers * blocks, t.sectors * blocks, t.least_sectors * blocks,
               t.passes * blocks, t.least_passes * blocks,
               is_reproducible(rung, device, out.data(), workspace.data(), x.data(), n) ? "same" : "differ");
  }
}

}  // namespace

std::vector<std::string> ladder_names() { return {"squared_norm"}; }

void print_ladder(const std::string& name) {
  if (name != "squared_norm") io::fail("there is no ladder {}; there are: squared_norm", name);
  print_squared_norm();
}

}  // namespace warpbert::study
