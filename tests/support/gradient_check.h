// Finite-difference checks of ops: the tape's d(Σ w·y)/dx against differences of forward passes.
//
// The fourth-order central difference (8(f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h has a truncation error of
// O(h⁴) and a rounding error of about 2⁻²⁴·Σ|w·y|/h. With h = 1/32 and inputs near 1, both stay below 1e-3 of
// the array's largest gradient.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

#include "buffer.h"
#include "engine/ops.h"
#include "largest.h"

namespace warpbert::test {

// Device, fp32 GEMM and arena for a tape; new memory is poisoned.
struct Lab {
  Device device;
  Gemm gemm{device, Precision::fp32};
  Arena arena{device, true};
  std::deque<DeviceArray<int>> counts;

  // `count` real rows, then padding rows up to `capacity`.
  kernels::Rows rows(int capacity, int count) {
    counts.emplace_back(device, std::vector<int>{count});
    return {capacity, counts.back().data()};
  }
};

struct Input {
  kernels::Rows rows;
  int count, cols;
};

// Checks the gradients of all inputs and of all parameters in `store`. `build` computes the outputs.
inline void check_gradients(
    Lab& lab, ParameterStore& store, const std::vector<Input>& inputs,
    const std::function<std::vector<Tensor>(Tape&, const std::vector<Tensor>&)>& build,
    const kernels::RandomState* random = nullptr) {
  constexpr float h = 1.0f / 32;
  std::vector<std::vector<float>> values;
  for (const Input& in : inputs) {
    values.push_back(normal<float>(size_t(in.rows.capacity) * in.cols, 1, 0, 11 + unsigned(values.size())));
    std::fill(values.back().begin() + size_t(in.count) * in.cols, values.back().end(), 0.0f);  // padding rows
  }
  unsigned seed = 100;
  for (const auto& array : store.named()) {
    const float mean = array.name.ends_with("gamma") ? 1.0f : 0.0f;
    store.upload(store.master_weights(), array, normal<float>(array.size, 0.5f, mean, seed++));
  }
  std::deque<DeviceArray<float>> memory;
  for (auto& v : values) memory.emplace_back(lab.device, v);

  const auto run = [&](Tape& tape) {
    lab.arena.reset();
    std::vector<Tensor> tensors;
    for (size_t i = 0; i < inputs.size(); i++) {
      memory[i].upload(values[i]);
      tensors.push_back(tape.input("input", kernels::view(memory[i].data(), inputs[i].rows, inputs[i].cols)));
    }
    return std::pair(tensors, build(tape, tensors));
  };
  const auto weights = [](size_t n) { return normal<float>(n, 1, 0, 7); };
  const auto objective = [&] {
    Tape tape(lab.device, lab.gemm, lab.arena, DType::f32, true, random);
    double sum = 0;
    for (Tensor y : run(tape).second) {
      std::vector<float> host(size_t(y.capacity()) * y.cols());
      lab.device.download(host.data(), y.data<float>(), host.size() * sizeof(float));
      const auto w = weights(host.size());
      for (size_t i = 0; i < host.size(); i++) sum += double(w[i]) * host[i];
    }
    return sum;
  };

  Tape tape(lab.device, lab.gemm, lab.arena, DType::f32, true, random);
  store.start_step();
  auto [tensors, outputs] = run(tape);
  for (Tensor y : outputs) {
    // Padding rows of a gradient are zero by contract.
    int count = 0;
    lab.device.download(&count, y.rows().count, sizeof count);
    auto w = weights(size_t(y.capacity()) * y.cols());
    std::fill(w.begin() + size_t(count) * y.cols(), w.end(), 0.0f);
    lab.device.upload(y.write_grad().view.data, w.data(), w.size() * sizeof(float));
  }
  tape.backward();
  store.finish_backward();

  std::mt19937 pick(5);
  const auto compare = [&](const std::string& name, const std::vector<float>& gradient, size_t n,
                           const std::function<void(size_t, float)>& shift) {
    const double most = largest({gradient.begin(), gradient.begin() + ptrdiff_t(n)});
    REQUIRE_MESSAGE(std::isfinite(most), name, ": one of ", n, " gradients is not finite");  // 12 compared
    for (int k = 0; k < 12; k++) {
      const size_t i = pick() % n;
      double f[4];
      int at = 0;
      for (float step : {2 * h, h, -h, -2 * h}) shift(i, step), f[at++] = objective(), shift(i, -step);
      const double expected = (8 * (f[1] - f[2]) - (f[0] - f[3])) / (12 * h);
      INFO(name, " element ", i, " of ", n, ": tape ", gradient[i], ", differences ", expected);
      CHECK(std::abs(gradient[i] - expected) <= 1e-3 * std::max(most, 1.0));
    }
  };
  std::vector<std::vector<float>> input_gradients;
  for (size_t i = 0; i < inputs.size(); i++) {
    REQUIRE(tensors[i].has_grad());
    input_gradients.emplace_back(values[i].size());
    lab.device.download(input_gradients[i].data(), tensors[i].grad().data, values[i].size() * sizeof(float));
  }
  std::vector<std::vector<float>> gradients;
  for (const auto& array : store.named()) gradients.push_back(store.download(store.grads(), array));

  for (size_t i = 0; i < inputs.size(); i++)
    compare("input " + std::to_string(i), input_gradients[i], size_t(inputs[i].count) * inputs[i].cols,
            [&](size_t e, float step) { values[i][e] += step; });
  size_t k = 0;
  for (const auto& array : store.named()) {
    auto master = store.download(store.master_weights(), array);
    const auto original = master;
    compare(array.name, gradients[k++], array.size, [&](size_t e, float step) {
      master[e] = master[e] == original[e] ? original[e] + step : original[e];
      store.upload(store.master_weights(), array, master);
    });
  }
}

}  // namespace warpbert::test
