#include "ladders.h"

#include <fmt/ranges.h>

#include <bit>
#include <functional>
#include <random>
#include <set>
#include <unordered_set>

#include "engine/device.h"
#include "io/error.h"
#include "simt/cpu/pool.h"
#include "study/ladders/attention_forward.h"
#include "study/ladders/cross_entropy.h"
#include "study/ladders/layer_norm_backward.h"
#include "study/ladders/squared_norm.h"
#include "trace.h"

namespace warpbert::study {
namespace {

struct Rung {
  const char* name;
  std::vector<const char*> kernels;  // counts are added
  int per_block;                     // values or rows
  std::function<void()> run;
};

struct Accesses {
  int loads = 0, atomics = 0;
  std::unordered_set<uintptr_t> bytes;

  void add(const Trace& trace) {
    for (const Step& s : trace.steps) {
      const bool copy = s.kind == Event::copy;
      loads += (copy || s.kind == Event::load) && s.sectors > 0;
      if (s.kind == Event::atomic) atomics += std::popcount(s.mask);
      if (s.sectors == 0) continue;
      for (const Event* e : s.lanes)
        for (int i = 0; e && i < e->bytes; i++) bytes.insert((copy ? e->from : e->address) + uintptr_t(i));
    }
  }
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

  template <class T>
  T* array(const DeviceArray<T>& a, bool result = false) {
    memory_.push_back({uintptr_t(a.data()), a.size() * sizeof(T), nullptr, 0});
    if (result) results_.push_back(memory_.back());
    return a.data();
  }

  void print(int per, const char* unit, const std::vector<Rung>& rungs) const {
    constexpr const char* line = "{:16} {:>6} {:>7} {:>8} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}\n";
    fmt::print("each {} {}:\n", per, unit);
    fmt::print(line, "rung", "loads", "atomics", "barriers", "bytes", "sectors", "least", "passes", "least",
               "bits");
    for (const Rung& rung : rungs) {
      Accesses accesses;
      Totals t;
      for (const char* kernel : rung.kernels) {
        const Recording recording = record(rung, kernel);
        const Trace trace = build_trace(recording, WARPBERT_SOURCE, {}, 100'000);
        if (trace.totals.races) io::fail("{} races", trace.variant);
        accesses.add(trace);
        t.barriers += trace.totals.barriers;
        t.sectors += trace.totals.sectors, t.least_sectors += trace.totals.least_sectors;
        t.passes += trace.totals.passes, t.least_passes += trace.totals.least_passes;
      }
      const int n = per / rung.per_block;
      fmt::print(line, rung.name, accesses.loads * n, accesses.atomics * n, t.barriers * n,
                 accesses.bytes.size() * size_t(n), t.sectors * n, t.least_sectors * n, t.passes * n,
                 t.least_passes * n, is_reproducible(rung) ? "same" : "differ");
    }
  }

 private:
  Recording record(const Rung& rung, const char* kernel) const {
    Recorder recorder(kernel, {}, memory_);
    rung.run();
    if (!recorder.result().found) io::fail("{} is not launched", kernel);
    return std::move(recorder.result());
  }

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
  const auto rung = [&](const char* name, const char* kernel, int per_block, ladders::SquaredNorm* launcher) {
    return Rung{name, {kernel}, per_block, [=, &device] { launcher(device.stream(), out, workspace, x, n); }};
  };
  ladder.print(
      2048, "values",
      {rung("1 atomics", "squared_norm_atomic_kernel", 256, ladders::squared_norm_atomic),
       rung("2 tree", "squared_norm_tree_kernel", 256, ladders::squared_norm_tree),
       rung("3 two launches", "squared_norm_partials_kernel", 2048, ladders::squared_norm_two_launches),
       rung("4 shipped", "squared_norm_kernel", 2048, kernels::squared_norm)});
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
  const auto rung = [&]<class T>(const char* name, const char* kernel, int per_block, const DeviceArray<T>& x,
                                 const DeviceArray<T>& dx, ladders::NormBackward* launcher) {
    kernels::NormArgs args = statistics;
    args.x = kernels::view(x.data(), all, hidden);
    const kernels::GradView to{kernels::view(dx.data(), all, hidden)};
    return Rung{name, {kernel}, per_block, [=, &device] {
                  launcher(device.stream(), to, sums, args.x, args);  // dy: also x
                }};
  };
  const DeviceArray<float> x(device, numbers), dx(device, numbers.size());
  const DeviceArray<bf16> x_bf16(device, std::vector<bf16>(numbers.size(), to_bf16(0.5f))),
      dx_bf16(device, numbers.size());
  ladder.array(x), ladder.array(x_bf16), ladder.array(dx, true), ladder.array(dx_bf16, true);
  ladder.print(
      64, "rows of 256 columns",
      {rung("1 thread a row", "layer_norm_backward_thread_kernel", 64, x, dx,
            ladders::layer_norm_backward_thread),
       rung("2 block a row", "layer_norm_backward_block_kernel", 1, x, dx,
            ladders::layer_norm_backward_block),
       rung("3 warp a row", "layer_norm_backward_warp_kernel", 4, x, dx, ladders::layer_norm_backward_warp),
       rung("4 shipped", "layer_norm_backward_kernel", 8, x, dx, kernels::layer_norm_backward),
       rung("  in bf16", "layer_norm_backward_kernel", 8, x_bf16, dx_bf16, kernels::layer_norm_backward)});
}

void cross_entropy() {
  constexpr int classes = 6413, ld = 6464;
  Device device{1};
  Ladder ladder(device);
  const std::vector<float> numbers = normal_numbers(ld);
  const DeviceArray<float> logits(device, ld), bias(device, numbers),
      scale(device, std::vector<float>{0.01f}), loss(device, 1), statistics(device, 2);
  const DeviceArray<bf16> beside(device, ld);
  const DeviceArray<kernels::Target> targets(device, std::vector<kernels::Target>{{17, 0, 0, 0}});
  const DeviceArray<int> count(device, std::vector<int>{1});
  const kernels::Rows row{1, ladder.array(count)};
  const kernels::CrossEntropyArgs args{kernels::view(ladder.array(logits, true), row, ld), ladder.array(bias),
                                       classes, ladder.array(targets), ladder.array(scale)};
  const kernels::View dlogits = kernels::view(ladder.array(beside, true), row, ld);
  float *const to = ladder.array(loss, true), *const of_row = ladder.array(statistics);
  const auto rung = [&](const char* name, std::vector<const char*> kernels, ladders::CrossEntropy* launcher) {
    return Rung{name, std::move(kernels), 1, [=, &device] {  // the shipped kernel overwrites the logits
                  device.upload(args.logits.data, numbers.data(), ld * sizeof(float));
                  device.upload(dlogits.data, std::vector<bf16>(ld).data(), ld * sizeof(bf16));
                  launcher(device.stream(), to, dlogits, of_row, args);
                }};
  };
  const auto in_place = [](kernels::Stream stream, float* to, kernels::View dlogits, float*,
                           const kernels::CrossEntropyArgs& args) {
    return kernels::cross_entropy(stream, to, dlogits.dtype, args);
  };
  ladder.print(1, "row of 6413 logits, gradient in bf16",
               {rung("1 four kernels", {"maximum_kernel", "sum_kernel", "loss_kernel", "gradient_kernel"},
                     ladders::cross_entropy_four_kernels),
                rung("2 three walks", {"three_walks_kernel"}, ladders::cross_entropy_three_walks),
                rung("3 online", {"online_kernel"}, ladders::cross_entropy_online),
                rung("4 vectors", {"vectors_kernel"}, ladders::cross_entropy_vectors),
                rung("5 shipped", {"cross_entropy_kernel"}, in_place)});
}

void attention_forward() {
  constexpr int length = 64, head_size = 64, heads = 2, hidden = heads * head_size;
  Device device{1};
  Ladder ladder(device);
  std::vector<bf16> numbers;
  for (const float x : normal_numbers(length * 3 * hidden)) numbers.push_back(to_bf16(x));
  const DeviceArray<bf16> qkv(device, numbers), out(device, length * hidden);
  const DeviceArray<float> bias(device, normal_numbers(3 * hidden)), lse(device, heads * length),
      scores(device, heads * length * length);
  const DeviceArray<int> starts(device, std::vector<int>{0, length}), count(device, std::vector<int>{length});
  const kernels::Rows rows{length, ladder.array(count)};
  const kernels::AttentionArgs args{kernels::view(ladder.array(qkv), rows, 3 * hidden),
                                    ladder.array(bias),
                                    ladder.array(lse, true),
                                    {ladder.array(starts), 1, length, length},
                                    heads,
                                    {}};
  const kernels::View to = kernels::view(ladder.array(out, true), rows, hidden);
  float* const between = ladder.array(scores);
  const auto rung = [&](const char* name, std::vector<const char*> kernels, int per_block,
                        ladders::AttentionForward* launcher) {
    return Rung{name, std::move(kernels), per_block,
                [=, &device] { launcher(device.stream(), to, between, args); }};
  };
  const auto shipped = [](kernels::Stream stream, kernels::View to, float*,
                          const kernels::AttentionArgs& args) {
    kernels::attention_forward(stream, to, args);
  };
  ladder.print(64, "queries and 64 keys of a head of 64 columns",
               {rung("1 in memory", {"scores_kernel", "softmax_kernel", "output_kernel"}, 16,
                     ladders::attention_forward_in_memory),
                rung("2 fma", {"fma_kernel"}, 16, ladders::attention_forward_fma),
                rung("3 mma", {"mma_kernel"}, 16, ladders::attention_forward_mma),
                rung("4 padded", {"mma_kernel"}, 16, ladders::attention_forward_padded),
                rung("5 shipped", {"attention_forward_kernel"}, 64, shipped)});
}

constexpr std::pair<const char*, void (*)()> ladders_by_name[] = {
    {"attention_forward", attention_forward},
    {"cross_entropy", cross_entropy},
    {"layer_norm_backward", layer_norm_backward},
    {"squared_norm", squared_norm}};

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
