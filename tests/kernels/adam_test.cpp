#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>

#include "kernels/kernels.h"
#include "tests/support/buffer.h"

using namespace warpbert;
using namespace warpbert::test;
using kernels::AdamStep;

namespace {
// The kernel's coefficients are floats; the double reference uses the same rounded values.
constexpr float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-6f;
constexpr kernels::AdamConstants constants{beta1, beta2, epsilon};

// Updates n parameters by the kernel and in double; guard elements follow.
struct Run {
  size_t n;
  std::vector<double> p, m, v, m_size;  // m_size: m of |g|, scale of m's errors
  Buffer<float> master, mean, square, grad;
  Buffer<bf16> weight;
  Buffer<AdamStep> step;
  Buffer<int> ok;
  static constexpr size_t guard = 16;

  explicit Run(size_t n)
      : n(n),
        m(n),
        v(n),
        m_size(n),
        master(normal<float>(n + guard, 0.02f)),
        mean(std::vector<float>(n + guard)),
        square(std::vector<float>(n + guard)),
        grad(n),
        weight(std::vector<bf16>(n + guard, bf16{0x1234})),
        step(1),
        ok(std::vector<int>{1}) {
    for (size_t i = 0; i < n; i++) p.push_back(master[i]);
    for (size_t i = n; i < n + guard; i++) master[i] = mean[i] = square[i] = 1234.5f;
  }

  void kernel(AdamStep s, bool with_weight, bool with_ok) {
    step[0] = s;
    kernels::adam(nullptr, {master, with_weight ? weight.data() : nullptr, mean, square, grad}, n, constants,
                  step, with_ok ? ok.data() : nullptr);
    synchronize();
  }
  void reference(AdamStep s) {
    for (size_t i = 0; i < n; i++) {
      const double g = double(grad[i]) * s.grad_scale;
      m[i] = beta1 * m[i] + (1.0 - beta1) * g;
      m_size[i] = beta1 * m_size[i] + (1.0 - beta1) * std::abs(g);
      v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
      p[i] -= s.decay * p[i] + s.step_size * m[i] / (std::sqrt(v[i]) + epsilon);
    }
  }
  void check_guard(bool with_weight) {
    for (size_t i = n; i < n + guard; i++)
      CHECK((master[i] == 1234.5f && mean[i] == 1234.5f && square[i] == 1234.5f && weight[i].bits == 0x1234));
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++)
      wrong += weight[i].bits != (with_weight ? to_bf16(master[i]).bits : 0x1234);
    CHECK(wrong == 0);
  }
};

// Learning rate with both bias corrections, as computed on the host.
float rate(double lr, int t) {
  return float(lr * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t)));
}
}  // namespace

TEST_CASE("adam: several steps against the formula in double, at every length") {
  for (size_t n : {1, 7, 8, 9, 31, 33, 2047, 2048, 2049, 10007}) {
    for (bool with_weight : {true, false}) {
      Run run(n);
      Worst p, m, v;
      for (int t = 1; t <= 5; t++) {
        // |g| from 1e-7 to 1, some zero: √v on both sides of ε.
        const auto size = normal<float>(n, 2, -4, unsigned(t)),
                   sign = normal<float>(n, 1, 0, unsigned(100 + t));
        for (size_t i = 0; i < n; i++)
          run.grad[i] = i % 13 == 5 ? 0 : std::copysign(std::pow(10.0f, std::min(size[i], 0.0f)), sign[i]);
        const AdamStep s{rate(1e-2, t), 1e-3f, t % 2 ? 1.0f : 0.37f};
        run.kernel(s, with_weight, t % 2);
        run.reference(s);
      }
      // Five steps of about six roundings of 2⁻²⁴: 2e-6 of m and v, and of p's movement (<= 0.03 a step).
      for (size_t i = 0; i < n; i++) {
        p.add(run.master[i], run.p[i], 0.03);
        m.add((run.mean[i] - run.m[i]) / (run.m_size[i] + 1e-30), 0);
        v.add((run.square[i] - run.v[i]) / (run.v[i] + 1e-30), 0);
      }
      CHECK(p.value < 2e-6);
      CHECK(m.value < 2e-6);
      CHECK(v.value < 2e-6);
      run.check_guard(with_weight);
    }
  }
}

TEST_CASE("adam: the first step moves by lr·sign(g) where the gradient is large, by less where ε counts") {
  Run run(16);
  for (size_t i = 0; i < 16; i++) run.grad[i] = i % 2 ? 0.5f : -0.5f, run.master[i] = 1;
  run.grad[3] = 1e-6f / std::sqrt(1.0f - beta2);  // √v = ε: half a step
  run.kernel({rate(1e-3, 1), 0, 1}, true, false);
  for (size_t i = 0; i < 16; i++) {
    const double expected = i == 3 ? 1 - 0.5e-3 : i % 2 ? 1 - 1e-3 : 1 + 1e-3;
    CHECK(std::abs(run.master[i] - expected) < 1.2e-7);  // one rounding of 1, plus ε/√v = 6e-5 of 1e-3
  }
}

TEST_CASE("adam: decay shrinks without gradient, and reads the parameter before its step") {
  Run run(24);
  for (size_t i = 0; i < 24; i++) run.grad[i] = 0, run.master[i] = float(i) - 12;
  run.kernel({1e-2f, 0.25f, 1}, true, true);
  for (size_t i = 0; i < 24; i++) CHECK(run.master[i] == 0.75f * (float(i) - 12));
  CHECK(run.mean[5] == 0);
}

TEST_CASE("adam: skips everything when *ok is 0") {
  Run run(2051);
  for (size_t i = 0; i < run.n; i++) run.grad[i] = NAN;
  const auto p = run.master.vector(), m = run.mean.vector(), v = run.square.vector();
  run.ok[0] = 0;
  run.kernel({1e-2f, 0.1f, 1}, true, true);
  size_t changed = 0;
  for (size_t i = 0; i < run.n; i++)
    changed +=
        run.master[i] != p[i] || run.mean[i] != m[i] || run.square[i] != v[i] || run.weight[i].bits != 0x1234;
  CHECK(changed == 0);
  CHECK(run.ok[0] == 0);
}

TEST_CASE("adam: refuses coefficients that make no sense") {
  Run run(8);
  const kernels::AdamArrays arrays{run.master, run.weight, run.mean, run.square, run.grad};
  CHECK_THROWS_AS(kernels::adam(nullptr, arrays, 8, {1, beta2, epsilon}, run.step, nullptr),
                  std::invalid_argument);
  CHECK_THROWS_AS(kernels::adam(nullptr, arrays, 8, {beta1, -0.1f, epsilon}, run.step, nullptr),
                  std::invalid_argument);
  CHECK_THROWS_WITH_AS(kernels::adam(nullptr, arrays, 8, {beta1, beta2, 0}, run.step, nullptr),
                       doctest::Contains("adam: beta1 = 0.9"), std::invalid_argument);
}

TEST_CASE("adam: the EMA of the master weights, and the sum of squares of the gradient before it is scaled") {
  for (size_t n : {1, 8, 31, 2048, 4099}) {
    Run run(n), plain(n);
    Buffer<float> average(normal<float>(n + 16, 0.02f, 0, 7));
    Buffer<double> squares(std::vector<double>(kernels::adam_blocks(n) + 1, -1.0)), total(1);
    std::vector<double> expected(average.data(), average.data() + n);
    const auto beyond = average[n];
    for (int t = 1; t <= 3; t++) {
      const auto g = normal<float>(n, 0.1f, 0, unsigned(t));
      double square = 0;
      for (size_t i = 0; i < n; i++) run.grad[i] = plain.grad[i] = g[i], square += double(g[i]) * g[i];
      const AdamStep step{rate(1e-2, t), 0, 0.5f, 0.25f};
      run.step[0] = step;
      kernels::adam(nullptr, {run.master, run.weight, run.mean, run.square, run.grad, average, squares}, n,
                    constants, run.step, nullptr);
      kernels::sum(nullptr, total, squares, kernels::adam_blocks(n));
      plain.kernel(step, true, false);
      for (size_t i = 0; i < n; i++) expected[i] += 0.25 * (run.master[i] - expected[i]);
      CHECK(total[0] == doctest::Approx(square).epsilon(1e-6).scale(0));  // eight squares in float: 8·2⁻²⁴
    }
    size_t changed = 0;
    Worst worst;
    for (size_t i = 0; i < n; i++) {
      changed += run.master[i] != plain.master[i];
      worst.add(average[i], expected[i], 0.1);
    }
    CHECK(changed == 0);
    CHECK(worst.value < 1e-6);
    CHECK(squares[kernels::adam_blocks(n)] == -1);
    CHECK(average[n] == beyond);
  }
}

TEST_CASE(
    "clip: gradients whose norm is above the limit are scaled down to it, by every step's factor alone") {
  constexpr float limit = 0.75f;  // exact square
  for (int n : {1, 31, 33, 70})   // one warp handles 32 at a time
    for (double norm : {0.0, 0.5, 0.75, 0.76, 1e6}) {
      const AdamStep before{0.1f, 0.2f, -1, 0.3f};
      Buffer<AdamStep> steps(std::vector<AdamStep>(size_t(n) + 1, before));
      Buffer<double> square(std::vector<double>{norm * norm});
      kernels::clip(nullptr, steps, n, square, limit);
      synchronize();
      Worst worst;
      int changed = steps[size_t(n)].grad_scale != -1;
      for (int i = 0; i < n; i++) {
        const AdamStep& s = steps[size_t(i)];
        worst.add(s.grad_scale, norm > limit ? limit / norm : 1, 0);
        changed += s.step_size != before.step_size || s.decay != before.decay || s.average != before.average;
      }
      INFO(n, " steps, norm ", norm);
      CHECK(worst.value <= (norm > limit ? 0x1.01p-24 : 0));  // quotient in double, rounded once
      CHECK(changed == 0);
    }
}

TEST_CASE("clip and reject_outlier: refuse what makes no sense") {
  Buffer<AdamStep> steps(1);
  Buffer<double> square(1);
  const auto clip = [&](int n, float limit) { kernels::clip(nullptr, steps, n, square, limit); };
  CHECK_THROWS_WITH_AS(clip(0, 1), "clip: n = 0, clip_norm = 1", std::invalid_argument);
  CHECK_THROWS_WITH_AS(clip(1, 0), "clip: n = 1, clip_norm = 0", std::invalid_argument);
  CHECK_THROWS_AS(clip(1, NAN), std::invalid_argument);
  const auto reject = [&](float limit) {
    kernels::reject_outlier(nullptr, nullptr, square, square, nullptr, limit);
  };
  CHECK_THROWS_WITH_AS(reject(0), "reject_outlier: limit = 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS(reject(-2.5f), "reject_outlier: limit = -2.5", std::invalid_argument);
  CHECK_THROWS_AS(reject(NAN), std::invalid_argument);
}

TEST_CASE("reject_outlier: a norm far above those before it stops the update, once enough are known") {
  Buffer<double> history(std::vector<double>(kernels::norm_history, 0.0)), square(1);
  Buffer<int> apply(1), ok(std::vector<int>{1});
  std::vector<double> norms;
  const auto offer = [&](double norm) {
    square[0] = norm * norm;
    kernels::reject_outlier(nullptr, apply, history, square, ok, 4);
    synchronize();
    norms.push_back(norm);
    return apply[0];
  };
  const auto noise = normal<float>(500, 0.1f, 1);
  CHECK(offer(1000) == 1);
  for (int i = 1; i < kernels::norm_window; i++) CHECK(offer(noise[size_t(i)]) == 1);
  int skipped = 0;
  for (int i = 0; i < 300; i++) {
    double sum = 0, squares = 0;
    for (size_t j = norms.size() - kernels::norm_window; j < norms.size(); j++)
      sum += norms[j], squares += norms[j] * norms[j];
    const double mean = sum / kernels::norm_window,
                 deviation = std::sqrt(squares / kernels::norm_window - mean * mean);
    const double norm = i == 150 || i == 290 ? 9 : std::abs(noise[size_t(i) + 150]);
    const bool expected = norm <= mean + 4 * deviation;
    CHECK(offer(norm) == expected);
    skipped += !expected;
  }
  CHECK(skipped == 2);
  CHECK(history[kernels::norm_window] == 428);
  CHECK(history[kernels::norm_window + 1] == 2);
  CHECK(offer(NAN) == 0);
  CHECK(history[kernels::norm_window] == 428);  // NaN is not recorded
  ok[0] = 0;
  CHECK(offer(1) == 0);
}
