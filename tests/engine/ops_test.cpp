// Checks every op against finite differences: inputs, parameters, both write modes, padding rows.
#include <doctest/doctest.h>

#include <numeric>

#include "tests/support/gradient_check.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

struct Parameters : ParameterStore {
  Parameter& matrix(int rows, int cols, const char* name) {
    return add(ParameterKind::matrix, rows, cols, name);
  }
  Parameter& vector(int n, const char* name) { return add(ParameterKind::vector, n, 1, name); }
  Norm norm(int n) { return {&vector(n, "gamma"), &vector(n, "beta"), 1e-5f}; }
};

}  // namespace

TEST_CASE("linear: gradients of input and weight") {
  Lab lab;
  Parameters p;
  Parameter& w = p.matrix(24, 16, "weight");
  p.allocate(lab.device, Precision::fp32);
  check_gradients(lab, p, {{lab.rows(40, 33), 33, 16}}, [&](Tape& t, auto& x) {
    return std::vector{linear(t, x[0], w), linear_f32(t, x[0], w)};
  });
}

TEST_CASE("gelu: gradients of input and bias") {
  Lab lab;
  Parameters p;
  Parameter& b = p.vector(40, "bias");
  p.allocate(lab.device, Precision::fp32);
  check_gradients(lab, p, {{lab.rows(40, 31), 31, 40}},
                  [&](Tape& t, auto& x) { return std::vector{gelu(t, x[0], b)}; });
}

TEST_CASE("layer_norm: gradients of input, gain and bias, with and without dropout") {
  Lab lab;
  DeviceArray<kernels::RandomState> random(lab.device, {kernels::RandomState{3, 4}});
  for (float rate : {0.0f, 0.3f}) {
    Parameters p;
    const Norm norm = p.norm(72);
    p.allocate(lab.device, Precision::fp32);
    check_gradients(
        lab, p, {{lab.rows(20, 17), 17, 72}},
        [&](Tape& t, auto& x) { return std::vector{layer_norm(t, x[0], norm, t.dropout(rate, 1))}; },
        random.data());
  }
}

TEST_CASE("add_dropout_norm: gradients of residual, input, bias, gain, with and without dropout") {
  Lab lab;
  DeviceArray<kernels::RandomState> random(lab.device, {kernels::RandomState{3, 4}});
  for (float rate : {0.0f, 0.3f}) {
    Parameters p;
    Parameter& b = p.vector(64, "bias");
    const Norm norm = p.norm(64);
    p.allocate(lab.device, Precision::fp32);
    const auto rows = lab.rows(24, 19);
    check_gradients(
        lab, p, {{rows, 19, 64}, {rows, 19, 64}},
        [&](Tape& t, auto& x) {
          return std::vector{add_dropout_norm(t, x[0], x[1], b, norm, t.dropout(rate, 1))};
        },
        random.data());
  }
}

TEST_CASE("a tensor with two readers: the first gradient is written, the second added, in either order") {
  Lab lab;
  const auto rows = lab.rows(24, 19);
  for (bool linear_last : {false, true}) {
    Parameters p;
    Parameter &w = p.matrix(64, 64, "weight"), &b = p.vector(64, "bias"), &u = p.matrix(64, 64, "other");
    const Norm norm = p.norm(64), second = p.norm(64);
    p.allocate(lab.device, Precision::fp32);
    check_gradients(lab, p, {{rows, 19, 64}}, [&](Tape& t, auto& x) {
      // linear, the residual path and layer_norm read x; the last forward reader writes its gradient first.
      std::vector<Tensor> y;
      if (!linear_last) y.push_back(linear(t, x[0], u));
      Tensor first = layer_norm(t, x[0], second);
      y.push_back(add_dropout_norm(t, x[0], linear(t, x[0], w), b, norm));
      y.push_back(first);
      if (linear_last) y.push_back(linear(t, x[0], u));
      y.push_back(layer_norm(t, x[0], second));  // reuses the gamma: parameter gradients accumulate too
      return y;
    });
  }
}

TEST_CASE("gather: gradient of the rows, written and added") {
  Lab lab;
  ParameterStore none;
  none.allocate(lab.device, Precision::fp32);
  DeviceArray<int> index(lab.device, std::vector<int>{0, 3, 4, 18, 0, 0, 0, 0});
  for (bool twice : {false, true})
    check_gradients(lab, none, {{lab.rows(24, 19), 19, 32}}, [&](Tape& t, auto& x) {
      std::vector y{gather(t, x[0], index.data(), lab.rows(8, 4))};
      if (twice) y.push_back(gather(t, x[0], index.data(), lab.rows(8, 3)));
      return y;
    });
}

namespace {

// Three sequences plus two empty ones, capacity 24 rows.
struct Packed {
  std::vector<int> lengths{5, 1, 9};
  DeviceArray<int> ids, positions, order, starts;
  Packing packing;

  Packed(Lab& lab, int words) {
    std::vector<int> id(24), position(24), sorted(24), start{0};
    int n = 0;
    for (int length : lengths) {
      for (int i = 0; i < length; i++) id[n] = (n * 7 + 3) % 5 % words, position[n] = i, n++;
      start.push_back(n);
    }
    start.insert(start.end(), 2, n);
    for (int i = 0; i < n; i++) sorted[i] = i;
    std::stable_sort(sorted.begin(), sorted.begin() + n, [&](int a, int b) { return id[a] < id[b]; });
    ids = {lab.device, id}, positions = {lab.device, position};
    order = {lab.device, sorted}, starts = {lab.device, start};
    packing = {lab.rows(24, n), ids.data(), positions.data(), order.data(), {starts.data(), 5, 9, 12}};
  }
};

}  // namespace

TEST_CASE("embedding: gradients of the three tables, alone and after another reader") {
  Lab lab;
  for (bool tied : {false, true}) {
    Parameters p;
    Parameter& word = p.add(ParameterKind::embedding, 8, 16, "word");
    Parameter& position = p.add(ParameterKind::embedding, 12, 16, "position");
    Parameter& segment = p.add(ParameterKind::embedding, 2, 16, "segment");
    p.allocate(lab.device, Precision::fp32);
    Packed batch(lab, 8);
    check_gradients(lab, p, {}, [&](Tape& t, auto&) {
      Tensor x = embedding(t, batch.packing, word, position, segment);
      return tied ? std::vector{linear(t, x, word)} : std::vector{x};  // tied as in a language-model head
    });
  }
}

TEST_CASE("attention: gradients of query, key, value and their bias, with and without dropout") {
  Lab lab;
  DeviceArray<kernels::RandomState> random(lab.device, {kernels::RandomState{3, 4}});
  for (float rate : {0.0f, 0.3f}) {
    Parameters p;
    Parameter& bias = p.vector(96, "bias");
    p.allocate(lab.device, Precision::fp32);
    Packed batch(lab, 8);
    check_gradients(
        lab, p, {{batch.packing.rows, 15, 96}},
        [&](Tape& t, auto& x) {
          return std::vector{attention(t, x[0], bias, batch.packing, 2, t.dropout(rate, 1))};
        },
        random.data());
  }
}

TEST_CASE("cross_entropy: the gradient is that of the mean loss") {
  // check_gradients does not fit: the loss itself is the objective.
  Lab lab;
  Parameters p;
  Parameter& bias = p.vector(16, "bias");
  p.allocate(lab.device, Precision::fp32);
  const auto named = p.named()[0];
  p.upload(p.master_weights(), named, normal<float>(16, 0.5f));
  const int M = 5, capacity = 8, classes = 13;
  const auto rows = lab.rows(capacity, M);
  std::vector<kernels::Target> targets(capacity);
  for (int m = 0; m < M; m++) targets[m] = {m * 2, 12 - m, m % 2 ? 0.3f : 0.0f, 0};
  DeviceArray<kernels::Target> device_targets(lab.device, targets);
  DeviceArray<float> scale(lab.device, std::vector<float>{1.0f / M});
  auto values = normal<float>(size_t(capacity) * 16);

  const auto loss = [&](const std::vector<float>& logits, const std::vector<float>& b) {
    double sum = 0;
    for (int m = 0; m < M; m++) {
      double total = 0;
      const auto z = [&](int c) { return double(logits[m * 16 + c]) + b[c]; };
      for (int c = 0; c < classes; c++) total += std::exp(z(c));
      const auto& t = targets[m];
      sum +=
          std::log(total) - (1 - double(t.other_weight)) * z(t.token) - double(t.other_weight) * z(t.other);
    }
    return sum / M;
  };
  lab.arena.reset();
  DeviceArray<float> memory(lab.device, values);
  Tape tape(lab.device, lab.gemm, lab.arena, DType::f32);
  Tensor logits = tape.input("logits", kernels::view(memory.data(), rows, 16));
  float* losses = cross_entropy(tape, logits, bias, device_targets.data(), scale.data(), classes);
  tape.backward();
  std::vector<float> host(capacity), gradient(values.size());
  lab.device.download(host.data(), losses, capacity * sizeof(float));
  lab.device.download(gradient.data(), logits.grad().data, gradient.size() * sizeof(float));
  const auto b = p.download(p.master_weights(), named), bias_gradient = p.download(p.grads(), named);
  double mean = 0;
  for (float l : host) mean += l / M;
  CHECK(mean == doctest::Approx(loss(values, b)).epsilon(1e-5));
  // The gradient is (p − weight)/M. fp32 p has a relative error of about 2⁻²¹: the argument of exp combines
  // values below 8, each rounded to 2⁻²². The difference quotient, with float steps, errs by about 2⁻²³ of p.
  const auto difference = [&](auto shift) {
    const double h = 1e-4;  // objective is in double
    return (shift(h) - shift(-h)) / (2 * h);
  };
  for (int i = 0; i < M * 16; i++) {
    const double expected = difference([&](double h) {
      auto v = values;
      const float before = v[i];
      v[i] = float(before + h);
      return (loss(v, b) - loss(values, b)) * (h / (double(v[i]) - before));
    });
    const kernels::Target& t = targets[i / 16];
    const double weight =
        (i % 16 == t.token ? 1 - t.other_weight : 0) + (i % 16 == t.other ? t.other_weight : 0);
    INFO("row ", i / 16, ", class ", i % 16, ": ", gradient[i], ", differences ", expected);
    CHECK(std::abs(gradient[i] - expected) <= 2e-6 * (std::abs(expected) + weight / M));  // ( … ) >= p/M
  }
  for (int i = M * 16; i < capacity * 16; i++) CHECK(gradient[i] == 0);
  for (int c = 0; c < 16; c++) {
    double expected = 0, size = 0;
    for (int m = 0; m < M; m++) expected += gradient[m * 16 + c], size += std::abs(gradient[m * 16 + c]);
    CHECK(std::abs(bias_gradient[c] - expected) <= M * 0x1p-24 * size);  // one rounding per addition
  }
}

TEST_CASE("ops refuse a second reader of what they overwrite, or write the gradient of, in either order") {
  Lab lab;
  Parameters p;
  Parameter &w = p.matrix(96, 96, "weight"), &bias = p.vector(96, "bias");
  Parameter& odd = p.vector(32, "bias of 32");
  const Norm norm = p.norm(96), small = p.norm(32);
  p.allocate(lab.device, Precision::fp32);
  Packed batch(lab, 8);
  lab.arena.reset();
  Tape t(lab.device, lab.gemm, lab.arena, DType::f32);
  const auto tensor = [&](int cols = 96) { return t.tensor("x", batch.packing.rows, cols); };
  using Op = std::function<void(Tensor)>;
  const std::vector<kernels::Target> targets(24);
  std::vector<int> rows(24);
  std::iota(rows.begin(), rows.end(), 0);
  DeviceArray<kernels::Target> device_targets(lab.device, targets);
  DeviceArray<float> scale(lab.device, std::vector<float>{1});
  DeviceArray<int> index(lab.device, rows);
  const std::vector<std::pair<std::string, Op>>
      alone = {{"gelu", [&](Tensor x) { gelu(t, x, bias); }},
               {"attention", [&](Tensor x) { attention(t, x, bias, batch.packing, 2); }},
               {"add_dropout_norm", [&](Tensor x) { add_dropout_norm(t, tensor(), x, bias, norm); }},
               {"cross_entropy",
                [&](Tensor x) { cross_entropy(t, x, bias, device_targets.data(), scale.data(), 96); }}},
      shared = {{"linear", [&](Tensor x) { linear(t, x, w); }},
                {"layer_norm", [&](Tensor x) { layer_norm(t, x, norm); }},
                {"add_dropout_norm", [&](Tensor x) { add_dropout_norm(t, x, tensor(), bias, norm); }},
                {"gather", [&](Tensor x) { gather(t, x, index.data(), batch.packing.rows); }}};
  const auto refused = [](const std::string& op) {
    return op + ": x has another reader, and one of both must be the only one";
  };
  for (const auto& [name, op] : alone) {
    for (const auto& [other_name, other] : shared) {
      Tensor x = tensor(), y = tensor();
      op(x);
      CHECK_THROWS_WITH_AS(other(x), refused(other_name).c_str(), std::invalid_argument);
      other(y), other(y);
      CHECK_THROWS_WITH_AS(op(y), refused(name).c_str(), std::invalid_argument);
    }
    Tensor x = tensor();
    op(x);
    CHECK_THROWS_WITH_AS(op(x), refused(name).c_str(), std::invalid_argument);
  }
  // Attention's backward reads its own output, which must not be overwritten either.
  CHECK_THROWS_WITH_AS(
      add_dropout_norm(t, tensor(32), attention(t, tensor(), bias, batch.packing, 2), odd, small),
      "add_dropout_norm: attention has another reader, and one of both must be the only one",
      std::invalid_argument);
}

TEST_CASE("ops refuse shapes that do not fit, by name") {
  Lab lab;
  Parameters p;
  Parameter& w = p.matrix(24, 16, "bert.some.weight");
  p.allocate(lab.device, Precision::fp32);
  lab.arena.reset();
  Tape tape(lab.device, lab.gemm, lab.arena, DType::f32);
  Tensor x = tape.tensor("x", lab.rows(8, 8), 32);
  CHECK_THROWS_WITH_AS(linear(tape, x, w), "linear: x [8, 32] by bert.some.weight [24, 16]",
                       std::invalid_argument);
  const size_t size_before = lab.arena.used();
  CHECK_THROWS_WITH_AS(tape.tensor("odd", lab.rows(8, 8), 9),
                       "tensor odd: 9 columns; a multiple of 8 is needed", std::invalid_argument);
  CHECK_THROWS_WITH_AS(tape.tensor("negative", lab.rows(8, 8), -8),
                       "tensor negative: -8 columns; a multiple of 8 is needed", std::invalid_argument);
  CHECK(lab.arena.used() == size_before);
}
