#include <doctest/doctest.h>

#include <cmath>
#include <stdexcept>

#include "engine/adam.h"
#include "tests/support/gradient_check.h"

using namespace warpbert;
using namespace warpbert::test;

TEST_CASE("arena: the same addresses after a reset, and a report by name") {
  Device device;
  Arena arena(device);
  void* a = arena.allocate(1000, "small");
  void* b = arena.allocate(100 << 20, "large");  // larger than an arena block
  CHECK(reinterpret_cast<uintptr_t>(a) % 256 == 0);
  CHECK(arena.used() == 1024 + (100 << 20));
  arena.reset();
  CHECK(arena.used() == 0);
  CHECK(arena.allocate(1000, "small") == a);
  CHECK(arena.allocate(100 << 20, "large") == b);
  arena.reset();
  CHECK(arena.high_water() == 1024 + (100 << 20));
  CHECK(arena.report() == "    100.00 MiB  large\n      0.00 MiB  small\n");
}

TEST_CASE("device: memory in use and the most that was") {
  Device device;
  {
    DeviceArray<float> a(device, 1000);
    DeviceArray<float> b = std::move(a);
    CHECK(device.bytes_allocated() == 4000);
  }
  CHECK(device.bytes_allocated() == 0);
  CHECK(device.bytes_high_water() == 4000);
}

#ifndef __SANITIZE_ADDRESS__  // whose allocator ends the program
TEST_CASE("device: what cannot be had is told, and nothing is lost") {
  Device device;
  const DeviceArray<float> x(device, 1 << 20);
  CHECK_THROWS_WITH_AS(
      device.allocate(size_t(1) << 50),
      "out of device memory: 1073741824.0 MiB more were asked for, 4.0 MiB are in use; smaller "
      "batches need less",
      std::runtime_error);
  CHECK(device.bytes_allocated() == 4 << 20);
}
#endif

TEST_CASE("parameters: order of the buffers, pieces, padding, rounding") {
  Device device;
  ParameterStore store;
  Parameter& table = store.add(ParameterKind::embedding, 64, 8, {{"table", 0, 61}});  // three padding rows
  Parameter& bias =
      store.add(ParameterKind::vector, 24, 1, {{"q.bias", 0, 8}, {"k.bias", 8, 8}, {"v.bias", 16, 8}});
  Parameter& qkv = store.add(ParameterKind::matrix, 24, 8, {{"q", 0, 8}, {"k", 8, 8}, {"v", 16, 8}});
  store.allocate(device, Precision::bf16);
  CHECK(qkv.offset == 0);
  CHECK(bias.offset == 192);
  CHECK(table.offset == 256);  // bias: 24 values, then 40 of padding
  CHECK(store.size() == 256 + 512);
  CHECK(store.real_size() == 61 * 8 + 24 + 24 * 8);
  CHECK(qkv.dtype == DType::bf16);
  CHECK(bias.dtype == DType::f32);

  const auto named = store.named();
  REQUIRE(named.size() == 7);
  CHECK(named[2].name == "k.bias");
  CHECK(named[2].shape == std::vector<int>{8});
  CHECK(named[5].name == "k");
  CHECK(named[5].shape == std::vector<int>{8, 8});
  std::vector<float> values(64, 1.00390625f);  // halfway between two bf16 values: ties to even
  store.upload(store.master_weights(), named[5], values);
  store.round_weights();
  std::vector<bf16> rounded(24 * 8);
  device.download(rounded.data(), qkv.value, rounded.size() * sizeof(bf16));
  CHECK(to_float(rounded[63]) == 0);
  CHECK(to_float(rounded[64]) == 1.0f);
  CHECK(to_float(rounded[127]) == 1.0f);
  CHECK(to_float(rounded[128]) == 0);
  CHECK(store.download(store.master_weights(), named[5]) == values);
  CHECK_THROWS_WITH_AS(store.upload(store.master_weights(), named[5], {1.0f}), "k: 1 values for 64",
                       std::invalid_argument);
}

TEST_CASE("adam: decay for matrices only, clipping, nothing when a loss was not finite") {
  Device device;
  ParameterStore store;
  store.add(ParameterKind::matrix, 8, 8, "matrix");
  store.add(ParameterKind::vector, 8, 1, "vector");
  store.allocate(device, Precision::fp32);
  const auto named = store.named();
  const auto gradient = normal<float>(64, 1, 0, 3), small = normal<float>(8, 1, 0, 4);
  const auto reset = [&] {
    store.upload(store.master_weights(), named[0], std::vector<float>(64, 1.0f));
    store.upload(store.master_weights(), named[1], std::vector<float>(8, 1.0f));
    device.zero(store.m(), store.size() * 4), device.zero(store.v(), store.size() * 4);
    store.upload(store.grads(), named[0], gradient);
    store.upload(store.grads(), named[1], small);
  };
  double norm = 0;
  for (float g : gradient) norm += double(g) * g;
  for (float g : small) norm += double(g) * g;
  norm = std::sqrt(norm);

  reset();
  AdamOptions options;
  options.weight_decay = 0.1f, options.clip_norm = 0.5f;
  Adam adam(store, options);
  adam.step(0.01);
  CHECK(adam.grad_norm() == doctest::Approx(norm).epsilon(1e-6));
  const auto expected = [&](float g, double decay) {  // step 1: m = 0.1·g, v = 0.001·g²
    const double s = g * 0.5 / norm, rate = 0.01 * std::sqrt(1 - 0.999) / (1 - 0.9);
    return 1 - 0.01 * decay - rate * 0.1 * s / (std::sqrt(0.001 * s * s) + 1e-7);
  };
  const auto matrix = store.download(store.master_weights(), named[0]),
             vector = store.download(store.master_weights(), named[1]);
  for (int i = 0; i < 64; i++) CHECK(matrix[i] == doctest::Approx(expected(gradient[i], 0.1)).epsilon(1e-6));
  for (int i = 0; i < 8; i++) CHECK(vector[i] == doctest::Approx(expected(small[i], 0)).epsilon(1e-6));

  reset();
  DeviceArray<int> ok(device, std::vector<int>{0});
  Adam stopped(store, {});
  stopped.step(0.01, ok.data());
  CHECK(store.download(store.master_weights(), named[0]) == std::vector<float>(64, 1.0f));
  CHECK(store.download(store.m(), named[0]) == std::vector<float>(64, 0.0f));
}

TEST_CASE("adam: rates by parameter, the norm and the EMA, updated one by one or together") {
  Device device;
  ParameterStore store;
  const auto add = [&](ParameterKind kind, int rows, int cols, const char* name, float scale) {
    Parameter& p = store.add(kind, rows, cols, name);
    p.lr_scale = scale;
    return &p;
  };
  add(ParameterKind::matrix, 24, 8, "a", 1);
  Parameter* b = add(ParameterKind::matrix, 300, 24, "b", 0.25f);
  add(ParameterKind::matrix, 8, 8, "c", 0.25f);
  add(ParameterKind::vector, 9, 1, "bias", 1);
  add(ParameterKind::embedding, 500, 16, "table", 0);
  store.allocate(device, Precision::fp32);
  const auto named = store.named();
  AdamOptions options;
  options.weight_decay = 0.1f, options.ema_decay = 0.2;  // the cap (1 + t)/(10 + t) is 2/11 at t = 1
  const auto train = [&](bool early) {
    device.zero(store.m(), store.size() * 4), device.zero(store.v(), store.size() * 4);
    for (const auto& array : named)
      store.upload(store.master_weights(), array, std::vector<float>(array.size, 1.0f));
    Adam adam(store, options);
    CHECK(adam.groups() == 4);  // lr_scale 1 and 0.25 with decay, 1 without, 0 with
    double norm = 0;
    for (int t = 1; t <= 3; t++) {
      norm = 0;
      for (const auto& array : named) {
        const auto g = normal<float>(array.size, 0.3f, 0, unsigned(array.size + t));
        for (float x : g) norm += double(x) * x;
        store.upload(store.grads(), array, g);
      }
      DeviceArray<kernels::AdamStep> steps(device, adam.count(0.01));
      adam.begin();
      if (early) adam.update(*b, steps.data(), nullptr, device.stream());
      adam.finish(steps.data(), nullptr);
      CHECK(adam.grad_norm() == doctest::Approx(std::sqrt(norm)).epsilon(1e-6));
    }
    std::vector<std::vector<float>> all;
    for (const auto& array : named)
      for (float* buffer : {store.master_weights(), store.m(), store.v(), store.ema_weights()})
        all.push_back(store.download(buffer, array));
    return all;
  };
  const auto together = train(false);
  CHECK(train(true) == together);
  CHECK(together[16] == std::vector<float>(8000, 1.0f));  // lr_scale 0: neither gradient nor decay applies
  // Reference formula for one value of "b".
  double p = 1, m = 0, v = 0, average = 1;
  for (int t = 1; t <= 3; t++) {
    const double g = normal<float>(7200, 0.3f, 0, unsigned(7200 + t))[77], lr = 0.01 * 0.25;
    m = 0.9 * m + 0.1 * g, v = 0.999 * v + 0.001 * g * g;
    p -= lr * 0.1 * p +
         lr * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t)) * m / (std::sqrt(v) + 1e-7);
    const double d = std::min(0.2, (1.0 + t) / (10.0 + t));
    average = d * average + (1 - d) * p;
  }
  CHECK(together[4][77] == doctest::Approx(p).epsilon(1e-6));
  CHECK(together[7][77] == doctest::Approx(average).epsilon(1e-6));
  const auto masters = store.download(store.master_weights(), named[1]),
             mean = store.download(store.ema_weights(), named[1]);
  store.swap_ema();
  CHECK(store.download(store.master_weights(), named[1]) == mean);
  store.swap_ema();
  CHECK(store.download(store.master_weights(), named[1]) == masters);
}

TEST_CASE("adam: an outlier's gradient changes nothing") {
  Device device;
  ParameterStore store;
  store.add(ParameterKind::matrix, 8, 8, "matrix");
  store.allocate(device, Precision::fp32);
  const auto array = store.named()[0];
  AdamOptions options;
  options.outlier_limit = 5;
  Adam adam(store, options);
  const auto step = [&](float size) {
    store.upload(store.grads(), array, std::vector<float>(64, size));
    adam.step(0.01);
    return store.download(store.master_weights(), array)[0];
  };
  float before = 0;
  for (int i = 0; i < 130; i++) before = step(i % 2 ? 0.1f : 0.11f);
  CHECK(step(5) == before);
  CHECK(adam.skipped() == 1);
  CHECK(adam.grad_norm() == doctest::Approx(40));
  const auto norms = adam.norms();
  Adam resumed(store, options);
  resumed.set_norms(norms);
  CHECK(resumed.skipped() == 1);
  CHECK(step(0.1f) != before);
}

TEST_CASE("tape: an evaluation pass records nothing and drops nothing") {
  Lab lab;
  Tape tape(lab.device, lab.gemm, lab.arena, DType::f32, false);
  CHECK(tape.dropout(0.5f, 1).rate == 0);
  ParameterStore store;
  Parameter& w = store.add(ParameterKind::matrix, 8, 8, "w");
  store.allocate(lab.device, Precision::fp32, false);
  Tensor x = tape.tensor("x", lab.rows(8, 8), 8);
  linear(tape, x, w);
  CHECK(tape.closures() == 0);
  CHECK_THROWS_AS(tape.backward(), std::logic_error);
  Tape training(lab.device, lab.gemm, lab.arena, DType::f32);
  CHECK_THROWS_AS(training.dropout(0.5f, 1), std::logic_error);
}
