// Every kernel at the sizes of one training step: time, bytes and floating-point operations by formula, and the floor
// those imply. On the CPU the times are the simulator's and say nothing about a GPU.
//
// kernels_bench [--tokens=992] [--pairs=64] [--targets=166] [--hidden=768] [--heads=12] [--vocabulary=6413] [--fp32]
//               [--gbps=4300]   (what a large copy reaches on the device; for the floor)
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/gemm.h"
#include "engine/graph.h"

using namespace warpbert;

namespace {

std::map<std::string, double> settings = {{"tokens", 992}, {"pairs", 64},        {"targets", 166}, {"hidden", 768},
                                          {"heads", 12},   {"vocabulary", 6413}, {"fp32", 0},      {"gbps", 4300}};

struct Bench {
  Device device;
  std::vector<DeviceArray<char>> memory;

  // n values of T: small random numbers, so that nothing is special about them.
  template <class T>
  T* array(size_t n, bool random = true) {
    memory.emplace_back(device, n * sizeof(T) + 64);
    T* p = reinterpret_cast<T*>(memory.back().data());
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, bf16>) {
      std::mt19937 generator(unsigned(memory.size()));
      std::vector<T> values(n);
      for (T& v : values) v = from_float<T>(random ? float(generator() % 2001) / 1000 - 1 : 0.0f);
      device.upload(p, values.data(), n * sizeof(T));
    }
    return p;
  }
  template <class T>
  T* array(const std::vector<T>& values) {
    memory.emplace_back(device, values.size() * sizeof(T));
    device.upload(memory.back().data(), values.data(), values.size() * sizeof(T));
    return reinterpret_cast<T*>(memory.back().data());
  }

  // On a GPU the work is repeated in a graph, so that neither launches nor the host's waiting are in the time.
  void row(const char* name, double bytes, double flops, const std::function<void()>& run) {
    using clock = std::chrono::steady_clock;
    const int repeats = Device::is_gpu() ? 20 : 1;
    run();  // allocates, chooses algorithms
    Graph graph(device, [&] {
      for (int i = 0; i < repeats; i++) run();
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
    const double t = times[times.size() / 2], floor = bytes / (settings["gbps"] * 1e9);
    fmt::print("{:28} {:>10.1f} {:>9.2f} {:>9.2f} {:>9.1f} {:>9.1f} {:>10.2f}\n", name, t * 1e6, bytes * 1e-6,
               flops * 1e-9, bytes / t * 1e-9, flops / t * 1e-9, floor * 1e6);
  }
};

template <class T>
void run(Bench& b) {
  const int N = int(settings["tokens"]), B = int(settings["pairs"]), M = int(settings["targets"]),
            H = int(settings["hidden"]), heads = int(settings["heads"]), V = int(settings["vocabulary"]), I = 4 * H,
            D = H / heads;
  const int capacity = (N + 127) / 128 * 128, target_capacity = (M + 63) / 64 * 64, ld = (V + 63) / 64 * 64;
  const auto s = b.device.stream();
  const kernels::Rows rows{capacity, b.array(std::vector<int>{N})},
      targets{target_capacity, b.array(std::vector<int>{M})};
  const kernels::Dropout drop{0.1f, 1, b.array(std::vector<kernels::RandomState>{{1, 1}})};
  const double t = sizeof(T), n = N, nh = n * H;

  std::vector<int> starts(B + 1), ids(capacity), positions(capacity), order(capacity), index(target_capacity);
  int longest = 0;
  for (int i = 0; i <= B; i++) starts[i] = int(int64_t(N) * i / B);
  for (int i = 0; i < B; i++) {
    longest = std::max(longest, starts[i + 1] - starts[i]);
    for (int r = starts[i]; r < starts[i + 1]; r++)
      positions[r] = r - starts[i], ids[r] = r * 2654435761u % unsigned(V);
  }
  for (int i = 0; i < N; i++) order[i] = i;
  std::stable_sort(order.begin(), order.begin() + N, [&](int x, int y) { return ids[x] < ids[y]; });
  for (int i = 0; i < M; i++) index[i] = int(int64_t(N) * i / M);
  std::vector<kernels::Target> target(target_capacity, {7, 0, 0, 0});
  const int *d_starts = b.array(starts), *d_ids = b.array(ids), *d_positions = b.array(positions),
            *d_order = b.array(order), *d_index = b.array(index);

  T *x = b.array<T>(size_t(capacity) * H), *y = b.array<T>(size_t(capacity) * H), *z = b.array<T>(size_t(capacity) * H);
  T *wide = b.array<T>(size_t(capacity) * I), *wide2 = b.array<T>(size_t(capacity) * I),
    *qkv = b.array<T>(size_t(capacity) * 3 * H), *dqkv = b.array<T>(size_t(capacity) * 3 * H),
    *chosen = b.array<T>(size_t(target_capacity) * H);
  float *bias = b.array<float>(I), *gamma = b.array<float>(H), *mean = b.array<float>(capacity),
        *rstd = b.array<float>(capacity), *lse = b.array<float>(size_t(heads) * capacity),
        *scale = b.array(std::vector<float>{1.0f / M});
  T *word = b.array<T>(size_t(ld) * H), *position = b.array<T>(size_t(512) * H);
  float *dword = b.array<float>(size_t(ld) * H), *dposition = b.array<float>(size_t(512) * H);
  float* partials =
      b.array<float>(size_t(3) * I * std::max(kernels::norm_blocks(capacity), kernels::column_blocks(capacity)));
  float* workspace = b.array<float>(kernels::embedding_workspace(capacity, H) + 8);
  float *logits = b.array<float>(size_t(target_capacity) * ld), *loss = b.array<float>(target_capacity);
  const auto* d_target = b.array(target);

  b.row("embedding_forward", nh * 3 * t, nh * 2,
        [&] { kernels::embedding_forward<T>(s, y, d_ids, d_positions, word, position, position, rows, H); });
  b.row("embedding_backward_word", nh * (t + 8), nh,
        [&] { kernels::embedding_backward_word<T>(s, dword, workspace, y, d_ids, d_order, rows, H); });
  b.row("embedding_backward_position", nh * t + 512.0 * H * 4, nh,
        [&] { kernels::embedding_backward_position<T>(s, dposition, y, d_starts, B, 512, H, false); });
  b.row("layer_norm_forward", nh * 2 * t, nh * 8,
        [&] { kernels::layer_norm_forward<T>(s, y, mean, rstd, x, gamma, bias, 1e-12f, {}, rows, H); });
  b.row("layer_norm_backward", nh * 3 * t, nh * 14,
        [&] { kernels::layer_norm_backward<T>(s, z, false, partials, y, x, mean, rstd, gamma, {}, rows, H); });
  b.row("add_dropout_norm_forward", nh * 4 * t, nh * 12, [&] {
    kernels::add_dropout_norm_forward<T>(s, y, z, mean, rstd, x, bias, x, gamma, bias, 1e-12f, drop, rows, H);
  });
  b.row("add_dropout_norm_backward", nh * 4 * t, nh * 18, [&] {
    kernels::add_dropout_norm_backward<T>(s, z, qkv, false, partials, y, x, mean, rstd, gamma, drop, rows, H);
  });
  b.row("bias_gelu_forward", n * I * 2 * t, n * I * 12,
        [&] { kernels::bias_gelu_forward<T>(s, wide2, wide, bias, rows, I); });
  b.row("bias_gelu_backward", n * I * 3 * t, n * I * 18,
        [&] { kernels::bias_gelu_backward<T>(s, wide2, partials, wide, wide, bias, rows, I); });
  b.row("column_sums", nh * 3 * t, nh * 3, [&] { kernels::column_sums<T>(s, partials, dqkv, 3 * H, rows, 3 * H); });
  const double scores = n * (n / B) * H * 2;  // one product of queries and keys over all heads
  b.row("attention_forward", nh * 4 * t, scores * 2,
        [&] { kernels::attention_forward<T>(s, x, lse, qkv, bias, d_starts, B, longest, heads, D, 512, {}, rows); });
  b.row("attention_backward", nh * 8 * t, scores * 5, [&] {
    kernels::attention_backward<T>(s, dqkv, y, x, lse, qkv, bias, d_starts, B, longest, heads, D, 512, {}, rows);
  });
  b.row("gather_rows", 2.0 * M * H * t, 0, [&] { kernels::gather_rows<T>(s, chosen, x, d_index, targets, H); });
  b.row("scatter_rows", (n + M) * H * t, 0,
        [&] { kernels::scatter_rows<T>(s, z, false, chosen, d_index, targets, rows, H); });
  b.row("cross_entropy", double(M) * V * (8 + t), double(M) * V * 8, [&] {
    kernels::cross_entropy<T>(s, loss, logits, bias == nullptr ? bias : dword, d_target, scale, targets, V, ld);
  });

  const size_t parameters = size_t(12) * H * H;  // one layer's matrices
  float *master = b.array<float>(std::max(parameters, size_t(ld) * H)), *average = b.array<float>(parameters),
        *m = b.array<float>(parameters, false), *v = b.array<float>(parameters, false),
        *grad = b.array<float>(parameters);
  bf16* rounded = b.array<bf16>(parameters);
  const auto* step = b.array(std::vector<kernels::AdamStep>{{1e-5f, 0, 1}});
  double *squares = b.array<double>(kernels::adam_blocks(parameters)), *sum = b.array<double>(1),
         *sums = b.array<double>(kernels::square_sum_workspace());
  b.row("adam, a layer", parameters * (28 + (t == 2 ? 2.0 : 0.0)), parameters * 12.0, [&] {
    kernels::adam(s, {master, t == 2 ? rounded : nullptr, m, v, grad, nullptr, squares}, parameters, 0.9f, 0.999f,
                  1e-7f, step, nullptr);
  });
  b.row("adam with average, a layer", parameters * (36 + (t == 2 ? 2.0 : 0.0)), parameters * 15.0, [&] {
    kernels::adam(s, {master, t == 2 ? rounded : nullptr, m, v, grad, average, squares}, parameters, 0.9f, 0.999f,
                  1e-7f, step, nullptr);
  });
  b.row("exchange, a layer", parameters * 16.0, 0, [&] { kernels::exchange(s, master, average, parameters); });
  b.row("perturb, word table", double(ld) * H * (8 + t), double(ld) * H * 2,
        [&] { kernels::perturb<T>(s, word, master, dword, sum, 0.5f, size_t(ld) * H); });
  b.row("square_sum, a layer", parameters * 4.0, parameters * 2.0,
        [&] { kernels::square_sum(s, sum, sums, grad, parameters); });
  b.row("cast to bf16, a layer", parameters * 6.0, 0, [&] { kernels::cast(s, rounded, master, parameters); });

  Gemm gemm(s, t == 2 ? Precision::bf16 : Precision::fp32);
  const DType dtype = t == 2 ? DType::bf16 : DType::f32;
  const auto matrix = [&](void* p, int r, int c) { return Matrix{p, dtype, r, c, c}; };
  T* weight = b.array<T>(size_t(I) * H);
  const double product = 2.0 * capacity * H * I, io = (double(capacity) * (H + I) + double(I) * H) * t;
  b.row("gemm widen", io, product, [&] {
    gemm.multiply(matrix(wide, capacity, I), matrix(x, capacity, H), false, matrix(weight, I, H), true, false);
  });
  b.row("gemm widen, d input", io, product, [&] {
    gemm.multiply(matrix(y, capacity, H), matrix(wide, capacity, I), false, matrix(weight, I, H), false, false);
  });
  b.row("gemm widen, d weight", io, product, [&] {
    gemm.multiply({grad, DType::f32, I, H, H}, matrix(wide, capacity, I), true, matrix(x, capacity, H), false, false);
  });
  b.row("gemm logits", double(M) * ld * 4 + double(ld) * H * t, 2.0 * target_capacity * ld * H, [&] {
    gemm.multiply({logits, DType::f32, target_capacity, ld, ld}, matrix(chosen, target_capacity, H), false,
                  matrix(word, ld, H), true, false);
  });
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; i++) {
    const std::string argument = argv[i], name = argument.substr(0, argument.find('='));
    if (name.size() < 3 || !settings.count(name.substr(2))) return fmt::print(stderr, "unknown: {}\n", argument), 2;
    settings[name.substr(2)] = name == argument ? 1 : std::atof(argument.c_str() + name.size() + 1);
  }
  Bench bench;
  fmt::print("{}; {}; times are {}\n", bench.device.name(), settings["fp32"] ? "fp32" : "bf16",
             Device::is_gpu() ? "medians on the device, in a graph of 20" : "the simulator's");
  fmt::print("{:28} {:>10} {:>9} {:>9} {:>9} {:>9} {:>10}\n", "kernel", "µs", "MB", "GFLOP", "GB/s", "GFLOP/s",
             "floor µs");
  settings["fp32"] ? run<float>(bench) : run<bf16>(bench);
}
