#include "ladders.h"

#include <fmt/ranges.h>

#include <bit>
#include <functional>
#include <random>
#include <set>

#include "engine/device.h"
#include "io/error.h"
#include "simt/cpu/pool.h"
#include "study/ladders/layer_norm_backward.h"
#include "study/ladders/squared_norm.h"
#include "trace.h"

namespace warpbert::study {
namespace {

struct Rung {
  const char *name, *kernel;
  int per_block;  // values or rows
  std::function<void()> run;
};

std::vector<float> normal_numbers(size_t n) {
  std::mt19937 random;
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& v : values) v = normal(random);
  return values;
}

class Ladder {
 public:
  explicit Ladder(Device& device) : device_(device) {}

  // Arrays, of which results are compared between thread orders.
  template <class T>
  T* array(const DeviceArray<T>& a, bool result = false) {
    memory_.push_back({uintptr_t(a.data()), a.size() * sizeof(T), nullptr, 0});
    if (result) results_.push_back(memory_.back());
    return a.data();
  }

  // Counts of block 0, scaled to `per` values or rows.
  void print(int per, const char* unit, const std::vector<Rung>& rungs) const {
    fmt::print("each {} {}:\n{:16} {:>5} {:>7} {:>8} {:>7} {:>6} {:>6} {:>6} {:>7}\n", per, unit, "rung",
               "loads", "atomics", "barriers", "sectors", "least", "passes", "least", "bits");
    for (const Rung& rung : rungs) {
      const Recording recording = record(rung);
      const Trace trace = build_trace(recording, WARPBERT_SOURCE, {}, 20'000);
      int loads = 0, atomics = 0;  // loads of device memory by a warp; adds by a thread
      for (const Step& s : trace.steps) {
        loads += s.kind == Event::load && s.sectors > 0;
        if (s.kind == Event::atomic) atomics += std::popcount(s.mask);
      }
      const Totals& t = trace.totals;
      const int blocks = per / rung.per_block;
      fmt::print("{:16} {:>5} {:>7} {:>8} {:>7} {:>6} {:>6} {:>6} {:>7}\n", rung.name, loads * blocks,
                 atomics * blocks, t.barriers * blocks, t.sectors * blocks, t.least_sectors * blocks,
                 t.passes * blocks, t.least_passes * blocks, is_reproducible(rung) ? "same" : "differ");
    }
  }

 private:
  Recording record(const Rung& rung) const {
    Recorder recorder(rung.kernel, {}, memory_);
    rung.run();
    if (!recorder.result().found) io::fail("{} is not launched", rung.kernel);
    return std::move(recorder.result());
  }

  // Have the results the same bits in five thread and block orders?
  bool is_reproducible(const Rung& rung) const {
    std::set<std::vector<char>> different;
    const auto run = [&](simt::Order order, unsigned seed) {
      simt::set_order(order, seed);
      rung.run();
      std::vector<char> bytes;
      for (const Memory& m : results_) {
        bytes.resize(bytes.size() + m.bytes);
        device_.download(&*bytes.end() - m.bytes, reinterpret_cast<const void*>(m.begin), m.bytes);
      }
      different.insert(bytes);
    };
    run(simt::Order::forward, 1), run(simt::Order::reverse, 1);
    for (unsigned seed = 1; seed <= 3; seed++) run(simt::Order::random, seed);
    simt::set_order(simt::Order::forward);
    return different.size() == 1;
  }

  Device& device_;
  std::vector<Memory> memory_, results_;
};

void squared_norm() {
  constexpr size_t n = 32 * 2048;
  Device device{1};
  const DeviceArray<float> values(device, normal_numbers(n));
  const DeviceArray<double> sum(device, 1), partials(device, kernels::squared_norm_workspace());
  Ladder ladder(device);
  const float* const x = ladder.array(values);
  double *const out = ladder.array(sum, true), *const workspace = ladder.array(partials);
  const auto rung = [&](ladders::SquaredNorm* launcher) {
    return [=, &device] { launcher(device.stream(), out, workspace, x, n); };
  };
  ladder.print(
      2048, "values",
      {{"1 atomics", "squared_norm_atomic_kernel", 256, rung(ladders::squared_norm_atomic)},
       {"2 tree", "squared_norm_tree_kernel", 256, rung(ladders::squared_norm_tree)},
       {"3 two launches", "squared_norm_partials_kernel", 2048, rung(ladders::squared_norm_two_launches)},
       {"4 shipped", "squared_norm_kernel", 2048, rung(kernels::squared_norm)}});
}

void layer_norm_backward() {
  constexpr int rows = 64, hidden = 256;
  Device device{1};
  Ladder ladder(device);
  const DeviceArray<float> mean(device, std::vector<float>(rows, 0)),
      rstd(device, std::vector<float>(rows, 1)), gamma(device, normal_numbers(hidden)),
      partials(device, size_t(kernels::norm_blocks(rows)) * 2 * hidden);
  const DeviceArray<int> count(device, std::vector<int>{rows});
  const kernels::Rows all{rows, ladder.array(count)};
  const kernels::NormArgs statistics{
      {}, ladder.array(mean), ladder.array(rstd), ladder.array(gamma), nullptr, 1e-12f, {}};
  float* const sums = ladder.array(partials, true);

  const std::vector<float> numbers = normal_numbers(rows * hidden);
  const auto rung = [&]<class T>(const DeviceArray<T>& x, const DeviceArray<T>& dx,
                                 ladders::NormBackward* launcher) {
    kernels::NormArgs args = statistics;
    args.x = kernels::view(x.data(), all, hidden);
    const kernels::GradView to{kernels::view(dx.data(), all, hidden)};
    return [=, &device] { launcher(device.stream(), to, sums, args.x, args); };  // dy: also x
  };
  const DeviceArray<float> x(device, numbers), dx(device, numbers.size());
  const DeviceArray<bf16> x_bf16(device, std::vector<bf16>(numbers.size(), to_bf16(0.5f))),
      dx_bf16(device, numbers.size());
  ladder.array(x), ladder.array(x_bf16), ladder.array(dx, true), ladder.array(dx_bf16, true);
  ladder.print(
      64, "rows of 256 columns",
      {{"1 thread a row", "layer_norm_backward_thread_kernel", 64,
        rung(x, dx, ladders::layer_norm_backward_thread)},
       {"2 block a row", "layer_norm_backward_block_kernel", 1,
        rung(x, dx, ladders::layer_norm_backward_block)},
       {"3 warp a row", "layer_norm_backward_warp_kernel", 4, rung(x, dx, ladders::layer_norm_backward_warp)},
       {"4 shipped", "layer_norm_backward_kernel", 8, rung(x, dx, kernels::layer_norm_backward)},
       {"  in bf16", "layer_norm_backward_kernel", 8, rung(x_bf16, dx_bf16, kernels::layer_norm_backward)}});
}

constexpr std::pair<const char*, void (*)()> ladders_by_name[] = {
    {"layer_norm_backward", layer_norm_backward}, {"squared_norm", squared_norm}};

}  // namespace

std::vector<std::string> ladder_names() {
  std::vector<std::string> names;
  for (const auto& [name, print] : ladders_by_name) names.emplace_back(name);
  return names;
}

void print_ladder(const std::string& name) {
  for (const auto& [known, print] : ladders_by_name)
    if (name == known) return print();
  io::fail("there is no ladder {}; there are: {}", name, fmt::join(ladder_names(), ", "));
}

}  // namespace warpbert::study
