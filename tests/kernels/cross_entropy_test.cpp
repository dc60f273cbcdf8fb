#include <doctest/doctest.h>

#include <stdexcept>

#include "kernels/kernels.h"
#include "tests/support/cross_entropy.h"

using namespace warpbert;
using namespace warpbert::test;

// In place: the matrix for the gradient is not used.
template <class T>
constexpr CrossEntropyCheck<T> shipped = {[](kernels::Stream stream, float* loss, kernels::View dlogits,
                                             float*, const kernels::CrossEntropyArgs& args) {
  return kernels::cross_entropy(stream, loss, dlogits.dtype, args);
}};

TEST_CASE_TEMPLATE("cross_entropy: loss and gradient in place of the logits", T, float, bf16) {
  shipped<T>.loss_and_gradient();
}

TEST_CASE_TEMPLATE("cross_entropy: no row to do is no error", T, float, bf16) { shipped<T>.no_rows(); }

TEST_CASE_TEMPLATE("cross_entropy: a row's bits do not depend on other rows or on the capacity", T, float,
                   bf16) {
  shipped<T>.bits_of_a_row();
}

TEST_CASE_TEMPLATE("cross_entropy: soft labels", T, float, bf16) { shipped<T>.soft_labels(); }

TEST_CASE_TEMPLATE("cross_entropy: extreme logits stay finite", T, float, bf16) {
  shipped<T>.extreme_logits();
}

TEST_CASE_TEMPLATE("cross_entropy: a large common offset costs no accuracy", T, float, bf16) {
  shipped<T>.common_offset();
}

TEST_CASE_TEMPLATE("cross_entropy: a logit that is not a number reaches the loss", T, float, bf16) {
  shipped<T>.not_a_number();
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
    LogitBatch b(3, 5, v, (v + 63) / 64 * 64);
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
