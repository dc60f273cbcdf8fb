// The engine alone: two layers learn the parity of three of eight bits, which no linear map can.
#include <fmt/format.h>

#include <random>

#include "engine/adam.h"
#include "engine/ops.h"

using namespace warpbert;

int main() {
  constexpr int n = 256, inputs = 8, hidden = 64, classes = 2, padded = 8;
  Device device;
  Gemm gemm(device, Precision::fp32);
  Arena arena(device);

  ParameterStore store;
  Parameter& w1 = store.add(ParameterKind::matrix, hidden, inputs, "w1");
  Parameter& b1 = store.add(ParameterKind::vector, hidden, 1, "b1");
  Parameter& w2 = store.add(ParameterKind::matrix, padded, hidden, "w2");
  Parameter& b2 = store.add(ParameterKind::vector, padded, 1, "b2");
  store.allocate(device, Precision::fp32);

  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.3f);
  for (const auto& array : store.named()) {
    std::vector<float> values(array.size);
    for (float& v : values) v = normal(random);
    store.upload(store.master_weights(), array, values);
  }
  std::vector<float> x(n * inputs);
  std::vector<kernels::Target> y(n);  // all 2⁸ inputs
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < inputs; k++) x[i * inputs + k] = i >> k & 1 ? 1.0f : -1.0f;
    y[i] = {(i ^ i >> 1 ^ i >> 2) & 1, 0, 0, 0};
  }
  DeviceArray<float> device_x(device, x), scale(device, std::vector{1.0f / n});
  DeviceArray<kernels::Target> device_y(device, y);
  DeviceArray<int> count(device, std::vector{n});

  Adam adam(store, {});
  for (int step = 1; step <= 200; step++) {
    arena.reset();
    store.start_step();
    Tape tape(device, gemm, arena, DType::f32);
    Tensor input = tape.input("x", kernels::view(device_x.data(), {n, count.data()}, inputs));
    Tensor logits = linear_f32(tape, gelu(tape, linear(tape, input, w1), b1), w2);
    float* loss = cross_entropy(tape, logits, b2, device_y.data(), scale.data(), classes);
    tape.backward();
    store.finish_backward();
    adam.step(0.01);

    std::vector<float> host(n);
    device.download(host.data(), loss, n * sizeof(float));
    float mean = 0;
    for (float l : host) mean += l / n;
    if (step == 1 || step % 50 == 0) fmt::print("step {:3}  loss {:.4f}\n", step, mean);
  }
}
