// How good scores are, and how sure that is: measures with bootstrap intervals (Efron 1979).
//
// A resample draws as many rows as there are, with replacement; the interval of a measure reaches from the 2.5th to the
// 97.5th percentile of its values on the resamples. The rows are sorted by score once. A resample is then only a count
// for each row, and one pass from the highest score down gives all its measures, in O(rows).
//
// Draw i of resample r is a function of (seed, r, i), from Philox: every machine draws the same rows.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace warpbert {

// The measures of metrics.h. The best threshold is that of highest F1, searched anew in every resample: its interval,
// and those of accuracy and F1 at it, contain the uncertainty of the search. (Measured where it is chosen, the best F1
// is an optimistic figure all the same.)
struct Measures {
  std::optional<double> auc;    // nothing when a class is missing
  double accuracy = 0, f1 = 0;  // at 0.5
  double best_threshold = 0, accuracy_at_best_f1 = 0, best_f1 = 0;
  double log_loss = 0;
};

Measures measure(std::span<const float> scores, std::span<const float> labels);  // as in metrics.h

// Row of draw 0 … rows − 1 of a resample. A 32-bit random word times the rows, shifted down:
// probabilities are equal to rows·2⁻³².
std::vector<uint32_t> draw_rows(uint64_t seed, uint32_t resample, size_t rows);

// Rows sorted by falling score.
class RankedRows {
 public:
  RankedRows(std::span<const float> scores, std::span<const float> labels);
  // The measures when row i of the input occurs counts[i] times.
  Measures measure(std::span<const uint32_t> counts) const;

 private:
  struct Row {
    float score;
    bool positive;
    double loss;
    size_t index;  // in the input
  };
  std::vector<Row> rows_;
};

struct Interval {
  double low, high;
};
// The 2.5th and 97.5th percentile, between order statistics by linear interpolation (of n sorted values, the p-th
// percentile is at p/100·(n − 1)). Nothing for no values.
std::optional<Interval> percentile_interval(std::vector<double> values);

// One line of the table. `value` is nothing where it is not defined, `interval` too, or where nothing was resampled.
struct Measured {
  std::string key, name;
  std::optional<double> value;
  std::optional<Interval> interval;
};

struct Evaluation {
  size_t rows = 0, positives = 0;
  int resamples = 0;
  uint64_t seed = 0;
  std::vector<Measured> measures;
};

// A resample without positive or without negative rows has no AUC and does not count for its interval.
Evaluation evaluate(std::span<const float> scores, std::span<const float> labels, int resamples, uint64_t seed);

std::string evaluation_table(const Evaluation& evaluation);
std::string evaluation_json(const Evaluation& evaluation);  // one line; what is not defined is null

}  // namespace warpbert
