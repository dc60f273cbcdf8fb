// Checks the bootstrap against a direct one: same draws, resamples materialized and measured by metrics.h.
#include "train/score/evaluation.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>

#include "tests/support/measures.h"

using namespace warpbert;
using namespace warpbert::test;

using Floats = std::vector<float>;

namespace {

struct Sample {
  Floats scores, labels;
};

// `distinct` score values and weakly correlated labels; with `soft`, a third of the labels is in (0, 1).
Sample sample(int rows, int distinct, bool soft, unsigned seed) {
  std::mt19937 random(seed);
  Sample s;
  for (int i = 0; i < rows; i++) {
    s.scores.push_back(float(random() % unsigned(distinct)) / float(distinct));
    s.labels.push_back(float(random() % 100 < 25 + 50 * s.scores.back()));
    if (soft && random() % 3 == 0) s.labels.back() = float(random() % 11) / 10;
  }
  return s;
}

Sample resample(const Sample& s, uint64_t seed, uint32_t r) {
  Sample drawn;
  for (const uint32_t row : draw_rows(seed, r, s.scores.size()))
    drawn.scores.push_back(s.scores[row]), drawn.labels.push_back(s.labels[row]);
  return drawn;
}

// numpy.percentile(values, p), by definition.
double percentile(std::vector<double> values, double p) {
  std::sort(values.begin(), values.end());
  const double place = p / 100 * double(values.size() - 1), part = place - std::floor(place);
  return values[size_t(place)] * (1 - part) + (part ? values[size_t(place) + 1] * part : 0);
}

void check_equal(const Measures& found, const Measures& expected) {
  CHECK(found.auc == expected.auc);  // ratios of the same integers
  CHECK(found.accuracy == expected.accuracy);
  CHECK(found.f1 == expected.f1);
  CHECK(found.best_threshold == expected.best_threshold);
  CHECK(found.accuracy_at_best_f1 == expected.accuracy_at_best_f1);
  CHECK(found.best_f1 == expected.best_f1);
  CHECK(std::abs(found.log_loss - expected.log_loss) < 1e-13 * (1 + expected.log_loss));  // summation order
}

}  // namespace

TEST_CASE("evaluation: a resample counted over ranks measures what the resample written out measures") {
  for (int distinct : {1, 2, 7, 1000000}) {
    for (int rows : {1, 2, 3, 31, 200}) {
      Sample s = sample(rows, distinct, rows % 2, unsigned(rows + distinct));
      if (rows % 3 == 1)
        for (float& score : s.scores) score = 0.5f + score / 2;  // none below threshold 0.5
      const RankedRows ranked(s.scores, s.labels);
      check_equal(ranked.measure(std::vector<uint32_t>(size_t(rows), 1)), measure(s.scores, s.labels));
      for (uint32_t r = 0; r < 20; r++) {
        CAPTURE(rows);
        CAPTURE(distinct);
        CAPTURE(r);
        std::vector<uint32_t> counts(size_t(rows), 0);
        for (const uint32_t row : draw_rows(9, r, size_t(rows))) counts[row]++;
        const Sample drawn = resample(s, 9, r);
        check_equal(ranked.measure(counts), measure(drawn.scores, drawn.labels));
      }
    }
  }
}

TEST_CASE("evaluation: intervals equal those of the direct bootstrap with the same draws") {
  const Sample s = sample(60, 40, true, 3);
  const int resamples = 150;
  const Evaluation e = evaluate(s.scores, s.labels, resamples, 11);
  std::vector<Measures> direct;
  for (uint32_t r = 0; r < resamples; r++) {
    const Sample drawn = resample(s, 11, r);
    direct.push_back(measure(drawn.scores, drawn.labels));
  }
  REQUIRE(e.measures.size() == 7);
  const auto check = [&](size_t place, const char* key, double value, auto get) {
    const Measured& m = e.measures[place];
    CAPTURE(key);
    CHECK(m.key == key);
    CHECK(m.value == value);
    std::vector<double> values;
    for (const Measures& d : direct) values.push_back(get(d));
    REQUIRE(m.interval.has_value());
    CHECK(m.interval->low == doctest::Approx(percentile(values, 2.5)).epsilon(1e-12));
    CHECK(m.interval->high == doctest::Approx(percentile(values, 97.5)).epsilon(1e-12));
    CHECK(m.interval->low < m.interval->high);
  };
  const BestThreshold best = best_threshold(s.scores, s.labels);
  check(0, "auc", auc(s.scores, s.labels).value(), [](const Measures& m) { return m.auc.value(); });
  check(1, "log_loss", log_loss(s.scores, s.labels), [](const Measures& m) { return m.log_loss; });
  check(2, "accuracy", accuracy(s.scores, s.labels), [](const Measures& m) { return m.accuracy; });
  check(3, "f1", f1(s.scores, s.labels), [](const Measures& m) { return m.f1; });
  check(4, "best_threshold", best.threshold, [](const Measures& m) { return m.best_threshold; });
  check(5, "accuracy_at_best_f1", accuracy(s.scores, s.labels, best.threshold),
        [](const Measures& m) { return m.accuracy_at_best_f1; });
  check(6, "best_f1", best.f1, [](const Measures& m) { return m.best_f1; });
}

TEST_CASE("evaluation: measures at a threshold equal those counted row by row, and resample with it") {
  const Sample s = sample(60, 20, true, 5);
  const int resamples = 80;
  struct Counted {
    double accuracy, f1, precision, recall;
  };
  const auto count = [](const Sample& rows, float threshold) {
    double tp = 0, fp = 0, fn = 0, tn = 0;
    for (size_t i = 0; i < rows.scores.size(); i++) {
      const bool found = rows.scores[i] >= threshold, is = rows.labels[i] >= 0.5f;
      (found ? is ? tp : fp : is ? fn : tn)++;
    }
    return Counted{(tp + tn) / (tp + fp + fn + tn), 2 * tp / (2 * tp + fp + fn), tp / (tp + fp),
                   tp / (tp + fn)};
  };
  for (const float threshold : {0.f, 0.3f, 0.65f, 0.95f}) {
    CAPTURE(threshold);
    const Evaluation e = evaluate(s.scores, s.labels, resamples, 2, Threshold{threshold, "as given"});
    REQUIRE(e.at_threshold.size() == 4);
    const auto check = [&](size_t place, const char* key, double Counted::*field) {
      CAPTURE(key);
      std::vector<double> values;
      for (uint32_t r = 0; r < resamples; r++) {
        const double value = count(resample(s, 2, r), threshold).*field;
        if (std::isfinite(value)) values.push_back(value);
      }
      const Measured& m = e.at_threshold[place];
      CHECK(m.key == key);
      CHECK(m.value == doctest::Approx(count(s, threshold).*field).epsilon(1e-12));
      CHECK(m.interval->low == doctest::Approx(percentile(values, 2.5)).epsilon(1e-12));
      CHECK(m.interval->high == doctest::Approx(percentile(values, 97.5)).epsilon(1e-12));
    };
    check(0, "accuracy_at_threshold", &Counted::accuracy);
    check(1, "f1_at_threshold", &Counted::f1);
    check(2, "precision_at_threshold", &Counted::precision);
    check(3, "recall_at_threshold", &Counted::recall);
  }
  const Evaluation above = evaluate(s.scores, s.labels, 5, 2, Threshold{1.f, "as given"});
  CHECK(above.at_threshold[1].value == 0);
  CHECK_FALSE(above.at_threshold[2].value.has_value());  // no row is predicted positive
  CHECK(above.at_threshold[3].value == 0);
}

TEST_CASE(
    "comparison: differences, intervals and p equal those of resamples written out, drawn once for both") {
  const Sample a = sample(80, 50, true, 1);
  Sample b = a;
  std::mt19937 random(4);
  for (float& score : b.scores) score = 0.7f * score + 0.3f * float(random() % 100) / 100;
  const int resamples = 200;
  const PairedComparison c = compare(a.scores, b.scores, a.labels, resamples, 3);
  REQUIRE(c.differences.size() == 2);
  std::vector<double> aucs, losses;
  for (uint32_t r = 0; r < resamples; r++) {
    const Sample x = resample(a, 3, r), y = resample(b, 3, r);
    aucs.push_back(auc(x.scores, x.labels).value() - auc(y.scores, y.labels).value());
    losses.push_back(log_loss(x.scores, x.labels) - log_loss(y.scores, y.labels));
  }
  const auto check = [&](const PairedDifference& d, double first, double second,
                         const std::vector<double>& values) {
    CAPTURE(d.key);
    CHECK(d.first == first);
    CHECK(d.second == second);
    CHECK(d.difference == first - second);
    CHECK(d.interval->low == doctest::Approx(percentile(values, 2.5)).epsilon(1e-9));
    CHECK(d.interval->high == doctest::Approx(percentile(values, 97.5)).epsilon(1e-9));
    double below = 1, above = 1;
    for (const double v : values) below += v <= 0, above += v >= 0;
    CHECK(d.p == std::min(1., 2 * std::min(below, above) / (resamples + 1)));
  };
  check(c.differences[0], *auc(a.scores, a.labels), *auc(b.scores, b.labels), aucs);
  check(c.differences[1], log_loss(a.scores, a.labels), log_loss(b.scores, b.labels), losses);

  // The other way round: differences change their sign, p stays.
  const PairedComparison back = compare(b.scores, a.scores, a.labels, resamples, 3);
  CHECK(*back.differences[0].difference == -*c.differences[0].difference);
  CHECK(back.differences[0].interval->low == doctest::Approx(-c.differences[0].interval->high));
  CHECK(back.differences[0].p == c.differences[0].p);
}

TEST_CASE("comparison: a model with itself, a certain difference, and what is not defined") {
  const Sample s = sample(100, 60, false, 7);
  for (const PairedDifference& d : compare(s.scores, s.scores, s.labels, 50, 0).differences) {
    CHECK(d.difference == 0);
    CHECK(d.interval->low == 0);
    CHECK(d.interval->high == 0);
    CHECK(d.p == 1);
  }
  const PairedComparison sure = compare(s.labels, s.scores, s.labels, 99, 0);
  CHECK(sure.differences[0].interval->low > 0);
  CHECK(sure.differences[0].p == doctest::Approx(2. / 100));  // the smallest that 99 resamples can show
  const Floats ones(s.scores.size(), 1);
  const PairedComparison one_class = compare(s.scores, s.labels, ones, 10, 0);
  CHECK_FALSE(one_class.differences[0].difference.has_value());
  CHECK_FALSE(one_class.differences[0].interval.has_value());
  CHECK_FALSE(one_class.differences[0].p.has_value());
  CHECK(one_class.differences[1].p.has_value());
  const PairedComparison bare = compare(s.scores, s.labels, s.labels, 0, 0);
  CHECK(bare.differences[0].difference.has_value());
  CHECK_FALSE(bare.differences[0].p.has_value());
  CHECK_THROWS_AS(compare(s.scores, Floats{0.5f}, s.labels, 10, 0), std::invalid_argument);
}

TEST_CASE("evaluation: draws are Philox's, the same on every machine") {
  // From a Python Philox4x32-10: (word·rows) >> 32, counter (group, 0, 0, resample), key = seed.
  CHECK(draw_rows(0, 0, 10) == std::vector<uint32_t>{3, 8, 7, 6, 9, 3, 6, 0, 0, 3});
  CHECK(draw_rows(5, 3, 10) == std::vector<uint32_t>{3, 9, 9, 3, 7, 4, 7, 5, 3, 2});
  CHECK(draw_rows((uint64_t(7) << 32) + 1, 2, 10) == std::vector<uint32_t>{5, 4, 2, 4, 4, 4, 3, 6, 3, 6});
  std::vector<int> seen(7, 0);
  for (uint32_t r = 0; r < 5000; r++)
    for (const uint32_t row : draw_rows(1, r, 7)) seen.at(row)++;
  for (const int n : seen) CHECK(std::abs(n - 5000) < 5 * std::sqrt(35000 * (1 / 7.) * (6 / 7.)));  // 5 sigma
}

TEST_CASE("evaluation: the interval is as wide as theory says") {
  // 800 of 1,000 rows are correct: σ of the accuracy is √(0.8·0.2/1000).
  Sample s;
  for (int i = 0; i < 1000; i++) {
    s.scores.push_back(i % 2 ? 0.9f : 0.1f);
    s.labels.push_back(float((i % 2) != (i % 5 == 0)));
  }
  const Evaluation e = evaluate(s.scores, s.labels, 2000, 0);
  const Measured& accuracy = e.measures[2];
  CHECK(accuracy.value == 0.8);
  const double sigma = std::sqrt(0.8 * 0.2 / 1000);
  // The 2.5th percentile of 2,000 values has a standard deviation of about 0.06 sigma.
  CHECK(std::abs(accuracy.interval->low - (0.8 - 1.96 * sigma)) < 0.25 * sigma);
  CHECK(std::abs(accuracy.interval->high - (0.8 + 1.96 * sigma)) < 0.25 * sigma);
}

TEST_CASE("evaluation: percentiles by hand") {
  CHECK_FALSE(percentile_interval({}).has_value());
  const auto one = percentile_interval({0.25});
  CHECK(one->low == 0.25);
  CHECK(one->high == 0.25);
  const auto two = percentile_interval({1, 0});
  CHECK(two->low == doctest::Approx(0.025).scale(0));
  CHECK(two->high == doctest::Approx(0.975));
  std::vector<double> many;
  for (int i = 40; i >= 0; i--) many.push_back(i);
  CHECK(percentile_interval(many)->low == doctest::Approx(1));
  CHECK(percentile_interval(many)->high == doctest::Approx(39));
}

TEST_CASE("evaluation: what is not defined") {
  const Floats scores{0.1f, 0.6f, 0.7f}, ones{1, 1, 1}, mixed{0, 1, 1};
  const Evaluation one_class = evaluate(scores, ones, 50, 0);
  CHECK_FALSE(one_class.measures[0].value.has_value());
  CHECK_FALSE(one_class.measures[0].interval.has_value());
  CHECK(one_class.measures[2].interval.has_value());
  // Single-class resamples have no AUC; the others have AUC 1 here.
  const Evaluation both = evaluate(scores, mixed, 50, 0);
  CHECK(both.measures[0].interval->low == 1);
  const Evaluation none = evaluate(scores, mixed, 0, 0);
  CHECK(none.measures[0].value == 1);
  for (const Measured& m : none.measures) CHECK_FALSE(m.interval.has_value());
  CHECK_THROWS_AS(evaluate(Floats{0.1f, NAN}, Floats{0, 1}, 10, 0), std::invalid_argument);
  CHECK_THROWS_AS(evaluate(Floats{}, Floats{}, 10, 0), std::invalid_argument);
}

TEST_CASE("evaluation: table and JSON") {
  const Floats scores{0.25f, 0.5f, 0.75f, 1}, labels{0, 1, 0, 1};
  CHECK(evaluation_table(evaluate(scores, labels, 0, 0, Threshold{0.75f, "as given"})) ==
        "rows                     4\n"
        "positive rows            2\n"
        "AUC                0.75000\n"
        "log loss           0.59178\n"
        "accuracy at 0.5    0.75000\n"
        "F1 at 0.5          0.80000\n"
        "threshold          0.75000   as given\n"
        "accuracy at it     0.50000\n"
        "F1 at it           0.50000\n"
        "precision at it    0.50000\n"
        "recall at it       0.50000\n"
        "best threshold     0.50000\n"
        "accuracy at it     0.75000\n"
        "F1 at it           0.80000\n");
  CHECK(comparison_table(compare(scores, Floats{0.5f, 0.5f, 0.5f, 0.5f}, labels, 0, 0)) ==
        "\n"
        "               --run --against  difference\n"
        "AUC          0.75000   0.50000     0.25000\n"
        "log loss     0.59178   0.69315    -0.10137\n");
  const std::string bare = evaluation_table(evaluate(scores, labels, 0, 0));
  CHECK(bare ==
        "rows                     4\n"
        "positive rows            2\n"
        "AUC                0.75000\n"
        "log loss           0.59178\n"
        "accuracy at 0.5    0.75000\n"
        "F1 at 0.5          0.80000\n"
        "best threshold     0.50000\n"
        "accuracy at it     0.75000\n"
        "F1 at it           0.80000\n");
  const Evaluation e = evaluate(scores, Floats{1, 1, 1, 1}, 20, 4);
  const std::string table = evaluation_table(e);
  CHECK(table.find("                             95 % of 20 resamples\n") != table.npos);
  CHECK(table.find("AUC              undefined\n") != table.npos);
  CHECK(table.find("accuracy at 0.5    0.75000   0.") != table.npos);
  const std::string text = evaluation_json(e);
  CHECK(text.find('\n') == text.size() - 1);
  const auto json = nlohmann::json::parse(text);
  CHECK(json["rows"] == 4);
  CHECK(json["positives"] == 4);
  CHECK(json["resamples"] == 20);
  CHECK(json["seed"] == 4);
  CHECK(json["auc"] == nlohmann::json{{"value", nullptr}, {"low", nullptr}, {"high", nullptr}});
  CHECK(json["accuracy"]["value"] == 0.75);
  CHECK(json["accuracy"]["low"] == e.measures[2].interval->low);
  CHECK(json["best_f1"]["high"] == e.measures[6].interval->high);
}
