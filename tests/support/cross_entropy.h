// Checks of a launcher of cross_entropy: of the shipped kernel (tests/kernels/cross_entropy_test.cpp), and of
// the rungs of its ladder (tests/study/ladders_test.cpp).
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"
#include "tests/support/rows.h"

namespace warpbert::test {

using kernels::Target;

// `count` rows in buffers of `capacity` rows; padding rows and columns are NaN.
struct LogitBatch {
  int count, capacity, vocabulary, ld;
  std::vector<float> z;  // [count, vocabulary]; the kernel gets them split into logits and bias
  std::vector<float> bias_values;
  std::vector<Target> targets;
  float scale = 0.01f;

  LogitBatch(int count, int capacity, int vocabulary, int ld, float spread = 3)
      : count(count),
        capacity(capacity),
        vocabulary(vocabulary),
        ld(ld),
        z(normal<float>(size_t(count) * vocabulary, spread)),
        bias_values(normal<float>(size_t(vocabulary), 1, 0, 2)) {
    for (int m = 0; m < count; m++) {
      const bool soft = m % 3 == 1;
      targets.push_back(
          {(m * 37 + 5) % vocabulary, soft ? (m * 11 + 2) % vocabulary : 1 << 29, soft ? 0.3f : 0.0f, m % 2});
    }
  }
  double value(int m, int c) const { return double(z[size_t(m) * vocabulary + c]) + bias_values[c]; }

  std::vector<float> padded_logits() const {
    std::vector<float> x(size_t(capacity) * ld, NAN);
    for (int m = 0; m < count; m++)
      for (int c = 0; c < vocabulary; c++) x[size_t(m) * ld + c] = z[size_t(m) * vocabulary + c];
    return x;
  }
  // Padding targets are out of range.
  std::vector<Target> padded_targets() const {
    std::vector<Target> t = targets;
    t.resize(capacity, {1 << 30, 1 << 30, NAN, 7});
    return t;
  }
  // log Σ exp z of row m.
  double log_sum(int m) const {
    double max = -INFINITY, sum = 0;
    for (int c = 0; c < vocabulary; c++) max = std::max(max, value(m, c));
    for (int c = 0; c < vocabulary; c++) sum += std::exp(value(m, c) - max);
    return max + std::log(sum);
  }
};

// T: type of the gradient.
template <class T>
struct CrossEntropyCheck {
  // `dlogits`: [M, ld], for launchers that do not work in place. Returns the gradient's place.
  kernels::View (*launcher)(kernels::Stream, float* loss, kernels::View dlogits, float* statistics,
                            const kernels::CrossEntropyArgs&);

  struct Result {
    std::vector<float> loss;
    std::vector<T> gradient;  // [capacity, ld]
  };

  Result run(const LogitBatch& b) const {
    Buffer<float> logits(b.padded_logits()), bias(b.bias_values), loss(b.capacity),
        scale(std::vector<float>{b.scale}), statistics(size_t(b.capacity) * 2);
    Buffer<T> beside(size_t(b.capacity) * b.ld);
    Buffer<Target> targets(b.padded_targets());
    Buffer<int> count(std::vector<int>{b.count});
    const kernels::Rows rows{b.capacity, count};
    const kernels::View gradient = launcher(nullptr, loss, view(beside, rows, b.ld), statistics,
                                            {view(logits, rows, b.ld), bias, b.vocabulary, targets, scale});
    synchronize();
    Result r{loss.vector(), {}};
    for (int m = 0; m < b.capacity; m++) {
      const T* row = gradient.as<T>() + size_t(m) * gradient.ld;
      r.gradient.insert(r.gradient.end(), row, row + b.ld);
    }
    return r;
  }

  void check(const LogitBatch& b) const {
    CAPTURE(b.vocabulary);
    CAPTURE(b.ld);
    const Result r = run(b);
    Worst loss, gradient;
    int not_zero = 0;
    for (int m = 0; m < b.capacity; m++) {
      const T* g = &r.gradient[size_t(m) * b.ld];
      if (m >= b.count) {
        not_zero += r.loss[m] != 0;
        for (int c = 0; c < b.ld; c++) not_zero += to_float(g[c]) != 0;
        continue;
      }
      const Target t = b.targets[m];
      const double log_sum = b.log_sum(m), w = t.other_weight;
      loss.add(r.loss[m], log_sum - (1 - w) * b.value(m, t.token) - (w ? w * b.value(m, t.other) : 0));
      for (int c = 0; c < b.vocabulary; c++) {
        const double p = std::exp(b.value(m, c) - log_sum),
                     subtract = (c == t.token) * (1 - w) + (c == t.other) * w;
        // Relative to the terms, because p − 1 may cancel.
        const double e = std::abs(to_float(g[c]) / double(b.scale) - (p - subtract)) / (p + subtract);
        gradient.add(e, 0);
      }
      for (int c = b.vocabulary; c < b.ld; c++) not_zero += to_float(g[c]) != 0;
    }
    CHECK(not_zero == 0);
    // exp turns the error of its argument (|z| <= 20, rounded by 2⁻²⁴) into 1e-6 of p. bf16 adds one
    // rounding, 2⁻⁸ = 3.91e-3.
    CHECK(loss.value < 2e-6);
    CHECK(gradient.value < (sizeof(T) == 2 ? 3.92e-3 : 5e-6));
  }

  void loss_and_gradient() const {
    for (int v : {1, 2, 7, 8, 31, 33, 100}) check(LogitBatch{5, 7, v, (v + 7) / 8 * 8});
    check(LogitBatch{1, 1, 100, 104});
    check(LogitBatch{4, 4, 100, 192});  // whole vectors of eight are padding
    // A block of 256 threads handles 2,048 columns per iteration: one less, one more, several iterations.
    for (int v : {2047, 2048, 2049, 6413}) check(LogitBatch{3, 4, v, (v + 63) / 64 * 64});
    check(LogitBatch{1, 2, 30522, 30528});
  }

  void no_rows() const {
    check(LogitBatch{0, 3, 33, 40});
    Buffer<int> count(std::vector<int>{0});
    const kernels::View none{nullptr, kernels::DType::f32, {0, count}, 40, 40};
    launcher(nullptr, nullptr, {nullptr, kernels::dtype_of<T>, {0, count}, 40, 40}, nullptr,
             {.logits = none, .classes = 33});
  }

  void bits_of_a_row() const {
    const LogitBatch five(5, 5, 2100, 2112), roomy(5, 9, 2100, 2112);
    const Result a = run(five), b = run(roomy);
    const auto equal = [&](const Result& x, int row_x, const Result& y, int row_y) {
      return x.loss[row_x] == y.loss[row_y] &&
             !std::memcmp(&x.gradient[size_t(row_x) * five.ld], &y.gradient[size_t(row_y) * five.ld],
                          five.ld * sizeof(T));
    };
    for (int m = 0; m < 5; m++) {
      CHECK(equal(a, m, b, m));
      LogitBatch alone(1, 1, 2100, 2112);
      std::copy_n(&five.z[size_t(m) * 2100], 2100, alone.z.begin());
      alone.targets[0] = five.targets[m];
      CHECK(equal(a, m, run(alone), 0));
    }
  }

  void soft_labels() const {
    LogitBatch b(4, 4, 3000, 3008);
    b.targets[0] = {17, 2999, 0.5f, 1};
    b.targets[1] = {2998, 3, 1, 1};  // all weight on `other`
    b.targets[2] = {5, 5, 0.25f, 1};
    b.targets[3] = {0, 1 << 29, 0.0f, 0};  // hard label: `other` is ignored
    check(b);
  }

  void extreme_logits() const {
    for (float extreme : {1e4f, -1e4f, 1e30f}) {
      LogitBatch b(3, 3, 5000, 5056, 0);
      std::fill(b.bias_values.begin(), b.bias_values.end(), 0.0f);
      for (int m = 0; m < 3; m++) {
        std::fill_n(&b.z[size_t(m) * 5000], 5000, m == 2 ? extreme : -extreme);
        b.z[size_t(m) * 5000 + 4321] = m == 2 ? extreme : std::abs(extreme);
        b.targets[m] = {m == 0 ? 4321 : 7, 0, 0, 0};
      }
      const Result r = run(b);
      if (extreme > 0) {
        CHECK(r.loss[0] == 0);
        CHECK(r.loss[1] == 2 * extreme);
        CHECK(to_float(r.gradient[5056 + 7]) == to_float(from_float<T>(-b.scale)));
        CHECK(to_float(r.gradient[5056 + 4321]) == to_float(from_float<T>(b.scale)));
      }
      CHECK(r.loss[2] == doctest::Approx(std::log(5000.0)).epsilon(1e-6));
      for (T g : r.gradient) REQUIRE(std::isfinite(to_float(g)));
    }
  }

  void common_offset() const {
    LogitBatch b(2, 2, 1000, 1000);
    std::fill(b.bias_values.begin(), b.bias_values.end(), 0.0f);
    for (float& z : b.z) z += 1000;
    check(b);
  }

  void not_a_number() const {
    for (int at : {0, 2500, 2999})
      for (float bad : {NAN, INFINITY}) {
        LogitBatch b(2, 2, 3000, 3008);
        b.z[at] = bad;
        const Result r = run(b);
        CHECK(!std::isfinite(r.loss[0]));
        CHECK(std::isfinite(r.loss[1]));
      }
  }
};

}  // namespace warpbert::test
