#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"
#include "tests/support/rows.h"

using namespace warpbert;
using namespace warpbert::test;
using kernels::Target;

namespace {
// `count` rows in buffers of `capacity` rows; padding rows and columns are NaN.
struct Batch {
  int count, capacity, vocabulary, ld;
  std::vector<float> z;  // [count, vocabulary]; the kernel gets them split into logits and bias
  std::vector<float> bias_values;
  std::vector<Target> targets;
  float scale = 0.01f;

  Batch(int count, int capacity, int vocabulary, int ld, float spread = 3)
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

template <class T>
struct Result {
  std::vector<float> loss;
  std::vector<T> gradient;  // [capacity, ld]
};

template <class T>
Result<T> run(const Batch& b) {
  Buffer<float> logits(b.padded_logits()), bias(b.bias_values), loss(b.capacity),
      scale(std::vector<float>{b.scale});
  Buffer<Target> targets(b.padded_targets());
  Buffer<int> count(std::vector<int>{b.count});
  kernels::cross_entropy(nullptr, loss, kernels::dtype_of<T>,
                         {view(logits, {b.capacity, count}, b.ld), bias, b.vocabulary, targets, scale});
  synchronize();
  Result<T> r{loss.vector(), {}};
  for (int m = 0; m < b.capacity; m++) {
    const T* row = reinterpret_cast<const T*>(logits.data() + size_t(m) * b.ld);
    r.gradient.insert(r.gradient.end(), row, row + b.ld);
  }
  return r;
}

template <class T>
void check(const Batch& b) {
  CAPTURE(b.vocabulary);
  CAPTURE(b.ld);
  const Result<T> r = run<T>(b);
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
  // exp turns the error of its argument (|z| <= 20, rounded by 2⁻²⁴) into 1e-6 of p. bf16 adds one rounding,
  // 2⁻⁸ = 3.91e-3.
  CHECK(loss.value < 2e-6);
  CHECK(gradient.value < (sizeof(T) == 2 ? 3.92e-3 : 5e-6));
}
}  // namespace

TEST_CASE_TEMPLATE("cross_entropy: loss and gradient in place of the logits", T, float, bf16) {
  for (int v : {1, 2, 7, 8, 31, 33, 100}) check<T>({5, 7, v, (v + 7) / 8 * 8});
  check<T>({1, 1, 100, 104});
  check<T>({4, 4, 100, 192});  // whole vectors of eight are padding
  // A block of 256 threads handles 2,048 columns per iteration: one less, one more, several iterations.
  for (int v : {2047, 2048, 2049, 6413}) check<T>({3, 4, v, (v + 63) / 64 * 64});
  check<T>({1, 2, 30522, 30528});
}

TEST_CASE_TEMPLATE("cross_entropy: no row to do is no error", T, float, bf16) {
  check<T>({0, 3, 33, 40});
  Buffer<int> count(std::vector<int>{0});
  const kernels::View none{nullptr, kernels::DType::f32, {0, count}, 40, 40};
  kernels::cross_entropy(nullptr, nullptr, kernels::dtype_of<T>, {.logits = none, .classes = 33});
}

TEST_CASE_TEMPLATE("cross_entropy: a row's bits do not depend on other rows or on the capacity", T, float,
                   bf16) {
  const Batch five(5, 5, 2100, 2112), roomy(5, 9, 2100, 2112);
  const Result<T> a = run<T>(five), b = run<T>(roomy);
  const auto equal = [&](const Result<T>& x, int row_x, const Result<T>& y, int row_y) {
    return x.loss[row_x] == y.loss[row_y] &&
           !std::memcmp(&x.gradient[size_t(row_x) * five.ld], &y.gradient[size_t(row_y) * five.ld],
                        five.ld * sizeof(T));
  };
  for (int m = 0; m < 5; m++) {
    CHECK(equal(a, m, b, m));
    Batch alone(1, 1, 2100, 2112);
    std::copy_n(&five.z[size_t(m) * 2100], 2100, alone.z.begin());
    alone.targets[0] = five.targets[m];
    CHECK(equal(a, m, run<T>(alone), 0));
  }
}

TEST_CASE_TEMPLATE("cross_entropy: soft labels", T, float, bf16) {
  Batch b(4, 4, 3000, 3008);
  b.targets[0] = {17, 2999, 0.5f, 1};
  b.targets[1] = {2998, 3, 1, 1};  // all weight on `other`
  b.targets[2] = {5, 5, 0.25f, 1};
  b.targets[3] = {0, 1 << 29, 0.0f, 0};  // hard label: `other` is ignored
  check<T>(b);
}

TEST_CASE_TEMPLATE("cross_entropy: extreme logits stay finite", T, float, bf16) {
  for (float extreme : {1e4f, -1e4f, 1e30f}) {
    Batch b(3, 3, 5000, 5056, 0);
    std::fill(b.bias_values.begin(), b.bias_values.end(), 0.0f);
    for (int m = 0; m < 3; m++) {
      std::fill_n(&b.z[size_t(m) * 5000], 5000, m == 2 ? extreme : -extreme);
      b.z[size_t(m) * 5000 + 4321] = m == 2 ? extreme : std::abs(extreme);
      b.targets[m] = {m == 0 ? 4321 : 7, 0, 0, 0};
    }
    const Result<T> r = run<T>(b);
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

TEST_CASE_TEMPLATE("cross_entropy: a large common offset costs no accuracy", T, float, bf16) {
  Batch b(2, 2, 1000, 1000);
  std::fill(b.bias_values.begin(), b.bias_values.end(), 0.0f);
  for (float& z : b.z) z += 1000;
  check<T>(b);
}

TEST_CASE_TEMPLATE("cross_entropy: a logit that is not a number reaches the loss", T, float, bf16) {
  for (int at : {0, 2500, 2999})
    for (float bad : {NAN, INFINITY}) {
      Batch b(2, 2, 3000, 3008);
      b.z[at] = bad;
      const Result<T> r = run<T>(b);
      CHECK(!std::isfinite(r.loss[0]));
      CHECK(std::isfinite(r.loss[1]));
    }
}

TEST_CASE("cross_entropy: refuses shapes that do not fit") {
  Buffer<int> count(std::vector<int>{1});
  const auto refused = [&](int capacity, int vocabulary, int ld) {
    const kernels::View logits{nullptr, kernels::DType::f32, {capacity, count}, ld, ld};
    CHECK_THROWS_AS(kernels::cross_entropy(nullptr, nullptr, kernels::DType::f32,
                                           {.logits = logits, .classes = vocabulary}),
                    std::invalid_argument);
    CHECK_THROWS_AS(kernels::log_probabilities(nullptr, nullptr, logits, nullptr, vocabulary, {0, 0}),
                    std::invalid_argument);
  };
  refused(-1, 8, 8), refused(1, 0, 8), refused(1, 9, 8), refused(1, 8, 12);
  const kernels::View eight{nullptr, kernels::DType::f32, {3, count}, 8, 8};
  CHECK_THROWS_WITH_AS(
      kernels::cross_entropy(nullptr, nullptr, kernels::DType::bf16, {.logits = eight, .classes = 9}),
      "cross_entropy: logits [3, 8], leading dimension 8, 9 classes; contiguous floats are needed",
      std::invalid_argument);
  CHECK_THROWS_WITH_AS(kernels::log_probabilities(nullptr, nullptr, eight, nullptr, 8, {5, 8}),
                       "log_probabilities: token 8 of 8", std::invalid_argument);
  CHECK_THROWS_AS(kernels::log_probabilities(nullptr, nullptr, eight, nullptr, 8, {-1, 1}),
                  std::invalid_argument);
  CHECK_THROWS_AS(kernels::sum_losses(nullptr, nullptr, nullptr, nullptr, nullptr, {-1, count}),
                  std::invalid_argument);
}

TEST_CASE("log_probabilities: of two tokens, at every vocabulary") {
  for (int v : {1, 8, 33, 2047, 2049, 6413}) {
    Batch b(3, 5, v, (v + 63) / 64 * 64);
    Buffer<float> logits(b.padded_logits()), bias(b.bias_values), out(10);
    Buffer<int> count(std::vector<int>{3});
    const auto before = logits.vector();
    const int first = v / 2, second = v - 1;
    kernels::log_probabilities(nullptr, out, view(logits, {5, count}, b.ld), bias, v, {first, second});
    synchronize();
    Worst worst;
    for (int m = 0; m < 3; m++) {
      worst.add(out[2 * m], b.value(m, first) - b.log_sum(m));
      worst.add(out[2 * m + 1], b.value(m, second) - b.log_sum(m));
    }
    CHECK(worst.value < 2e-6);
    for (int i = 6; i < 10; i++) CHECK(out[i] == 0);
    CHECK(!std::memcmp(before.data(), logits.data(), before.size() * sizeof(float)));
  }
}

namespace {
// Returns the sums after sum_losses adds to {10, 20, 30, 40}.
std::vector<double> sums_of(const std::vector<float>& losses, const std::vector<Target>& targets, int count,
                            int& ok) {
  Buffer<double> sums(std::vector<double>{10, 20, 30, 40});
  Buffer<int> flag(std::vector<int>{ok}), n(std::vector<int>{count});
  Buffer<float> loss(losses);
  Buffer<Target> target(targets);
  kernels::sum_losses(nullptr, sums, flag, loss, target, {int(losses.size()), n});
  synchronize();
  ok = flag[0];
  return sums.vector();
}
}  // namespace

TEST_CASE("sum_losses: adds sums and counts of both groups, in double") {
  for (int count : {0, 1, 2, 31, 33, 255, 257, 1000}) {
    auto losses = normal<float>(count, 1, 5);
    std::vector<Target> targets;
    double expected[4] = {10, 20, 30, 40};
    for (int m = 0; m < count; m++) {
      if (m == 3) losses[m] = 1e9f;  // a float sum would lose the other terms
      const int group = m % 7 < 2;
      targets.push_back({0, 0, 0, group});
      expected[group] += losses[m], expected[2 + group] += 1;
    }
    losses.resize(count + 9, NAN);  // padding: ignored
    targets.resize(count + 9, {0, 0, 0, 1});
    int ok = 1;
    const auto sums = sums_of(losses, targets, count, ok);
    CHECK(ok == 1);
    for (int i = 0; i < 2; i++) CHECK(std::abs(sums[i] - expected[i]) <= 1e-15 * count * expected[i]);
    for (int i = 2; i < 4; i++) CHECK(sums[i] == expected[i]);
  }
}

TEST_CASE("sum_losses: clears *ok at a loss that is not finite, and never sets it") {
  for (float bad : {NAN, INFINITY, -INFINITY})
    for (int at : {0, 40, 299}) {
      std::vector<float> losses(300, 1.0f);
      losses[at] = bad;
      int ok = 1;
      const auto sums = sums_of(losses, std::vector<Target>(300, Target{0, 0, 0, 0}), 300, ok);
      CHECK(ok == 0);
      CHECK(!std::isfinite(sums[0]));
      CHECK(sums[1] == 20);
      Buffer<int> flag(std::vector<int>{1}), n(std::vector<int>{300});
      Buffer<float> loss(losses);
      Buffer<Target> target(std::vector<Target>(300, Target{0, 0, 0, 0}));
      kernels::sum_losses(nullptr, nullptr, flag, loss, target, {300, n});  // without sums
      synchronize();
      CHECK(flag[0] == 0);
    }
  int ok = 0;
  sums_of({1, 2, 3}, std::vector<Target>(3, Target{0, 0, 0, 0}), 3, ok);
  CHECK(ok == 0);
}

TEST_CASE("sum_losses: same bits whatever the capacity") {
  auto losses = normal<float>(777, 1, 5);
  std::vector<Target> targets(777, Target{0, 0, 0, 0});
  int ok = 1;
  const auto a = sums_of(losses, targets, 777, ok);
  losses.resize(2000, NAN), targets.resize(2000, Target{0, 0, 0, 0});
  CHECK(sums_of(losses, targets, 777, ok) == a);
}
