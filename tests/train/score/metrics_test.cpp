#include "train/score/metrics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "tests/support/measures.h"
#include "tests/support/pairs.h"

using namespace warpbert;
using namespace warpbert::test;

using Floats = std::vector<float>;

static double naive_auc(const Floats& scores, const Floats& labels) {
  double wins = 0, comparisons = 0;
  for (size_t p = 0; p < scores.size(); p++) {
    for (size_t n = 0; n < scores.size(); n++) {
      if (labels[p] < 0.5f || labels[n] >= 0.5f) continue;
      comparisons++;
      wins += scores[p] > scores[n] ? 1 : scores[p] == scores[n] ? 0.5 : 0;
    }
  }
  return wins / comparisons;
}

TEST_CASE("metrics: AUC equals comparing every positive with every negative score") {
  std::mt19937 random(1);
  for (int distinct : {2, 3, 10, 1000000}) {  // few distinct scores give many ties
    for (int n : {2, 3, 31, 200}) {
      Floats scores, labels;
      for (int i = 0; i < n; i++) {
        scores.push_back(float(random() % unsigned(distinct)) / float(distinct));
        labels.push_back(float(random() % 2));
      }
      labels[0] = 0, labels[1] = 1;
      // Both are ratios of (half-)integers below 2⁵³: equal up to one rounding.
      CHECK(std::abs(auc(scores, labels).value() - naive_auc(scores, labels)) < 1e-15);
    }
  }
}

TEST_CASE("metrics: AUC at its ends, with ties, soft labels and a missing class") {
  CHECK(auc(Floats{0.1f, 0.2f, 0.8f, 0.9f}, Floats{0, 0, 1, 1}) == 1);
  CHECK(auc(Floats{0.9f, 0.8f, 0.2f, 0.1f}, Floats{0, 0, 1, 1}) == 0);
  CHECK(auc(Floats{0.5f, 0.5f, 0.5f}, Floats{0, 1, 1}) == 0.5);
  CHECK(auc(Floats{0.3f, 0.3f, 0.1f, 0.7f}, Floats{0, 1, 0, 1}) == 0.875);
  CHECK(auc(Floats{0.1f, 0.2f}, Floats{0.49f, 0.5f}) == 1);
  CHECK(auc(Floats{-INFINITY, INFINITY}, Floats{0, 1}) == 1);
  CHECK(auc(Floats{-0.f, 0.f}, Floats{0, 1}) == 0.5);
  CHECK_FALSE(auc(Floats{0.1f, 0.2f}, Floats{1, 1}).has_value());
  CHECK_FALSE(auc(Floats{0.1f, 0.2f}, Floats{0, 0}).has_value());
}

TEST_CASE("metrics: faulty scores are refused") {
  const Floats two{0.1f, 0.2f}, nan{0.1f, NAN};
  const auto refuses = [](const Floats& scores, const Floats& labels) {
    CHECK_THROWS_AS(auc(scores, labels), std::invalid_argument);
    CHECK_THROWS_AS(accuracy(scores, labels), std::invalid_argument);
    CHECK_THROWS_AS(f1(scores, labels), std::invalid_argument);
    CHECK_THROWS_AS(log_loss(scores, labels), std::invalid_argument);
    CHECK_THROWS_AS(best_threshold(scores, labels), std::invalid_argument);
  };
  refuses(nan, two);
  refuses(two, {1});
  refuses({}, {});
  CHECK_THROWS_WITH(auc(nan, two), "metrics: score 1 is not a number");
}

TEST_CASE("metrics: scores and AUC of the golden fixture") {
  std::ifstream file = open_golden("scores.txt");
  for (int model = 0; model < 2; model++) {
    double expected;
    file >> expected;
    Floats labels(20), reference(20), scores(20);
    for (size_t i = 0; i < 20; i++) {
      double no, yes;
      file >> labels[i] >> reference[i] >> no >> yes;
      scores[i] = ratio_score(float(std::log(no)), float(std::log(yes)));
      // Rounding log p ≈ −5 to float gives p a relative error <= 2.4·10⁻⁷; two of them times s(1 − s) <= 1/4.
      CHECK(std::abs(scores[i] - reference[i]) < 2e-7);
      CHECK(std::abs(sigmoid_score(float(std::log(no)), float(std::log(yes))) - yes / (no + yes)) < 2e-7);
    }
    REQUIRE(file);
    CHECK(float(auc(reference, labels).value()) == float(expected));
    CHECK(float(auc(scores, labels).value()) == float(expected));
  }
}

TEST_CASE("metrics: the ratio is biased where both probabilities are tiny, the sigmoid is not") {
  const auto logs = [](double no, double yes) {
    return std::pair(float(std::log(no)), float(std::log(yes)));
  };
  const auto [no, yes] = logs(1e-8, 2e-8);
  CHECK(ratio_score(no, yes) == doctest::Approx(0.5).epsilon(1e-5));
  CHECK(sigmoid_score(no, yes) == doctest::Approx(2 / 3.).epsilon(1e-5));
  CHECK(ratio_score(-800, -801) == 0);
  CHECK(sigmoid_score(-800, -801) == doctest::Approx(1 / (1 + std::exp(1.))).epsilon(1e-6));
  CHECK(sigmoid_score(-1e30f, 0) == 1);
  CHECK(sigmoid_score(0, -1e30f) == 0);
}

TEST_CASE("metrics: accuracy, F1, log loss and the best threshold by hand") {
  const Floats scores{0.9f, 0.8f, 0.6f, 0.4f, 0.2f}, labels{1, 0, 1, 1, 0};
  CHECK(accuracy(scores, labels) == 0.6);
  CHECK(accuracy(scores, labels, 0.6f) == 0.6);  // score = threshold counts as positive
  CHECK(accuracy(scores, labels, 0.61f) == 0.4);
  CHECK(f1(scores, labels) == doctest::Approx(2 / 3.));  // TP 2, FP 1, FN 1
  CHECK(f1(scores, labels, 0.95f) == 0);
  CHECK(log_loss(Floats{0.25f, 0.5f}, Floats{1, 0.5f}) == doctest::Approx((std::log(4) + std::log(2)) / 2));
  CHECK(log_loss(Floats{1}, Floats{0}) == doctest::Approx(7 * std::log(10.)));
  // 1 − 10⁻⁷ is rounded by <= 2⁻⁵⁴, 6·10⁻¹⁰ of its logarithm.
  CHECK(log_loss(Floats{0}, Floats{0}) == doctest::Approx(-std::log1p(-1e-7)).epsilon(1e-9).scale(0));
  const BestThreshold best = best_threshold(scores, labels);
  CHECK(best.threshold == 0.4f);  // TP 3, FP 1, FN 0
  CHECK(best.f1 == doctest::Approx(6 / 7.));
  CHECK(best_threshold(Floats{0.5f, 0.7f}, Floats{0, 0}).f1 == 0);
}

TEST_CASE("metrics: no threshold beats the best one") {
  std::mt19937 random(2);
  for (int round = 0; round < 50; round++) {
    Floats scores, labels;
    for (int i = 0; i < 40; i++) {
      scores.push_back(float(random() % 20) / 20);
      labels.push_back(float(random() % 3 == 0));
    }
    const BestThreshold best = best_threshold(scores, labels);
    CHECK(best.f1 == f1(scores, labels, best.threshold));
    for (float score : scores) {
      const double other = f1(scores, labels, score);
      CHECK(other <= best.f1);
      if (other == best.f1) CHECK(score <= best.threshold);
    }
  }
}
