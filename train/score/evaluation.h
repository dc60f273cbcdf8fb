// Measures of scores with bootstrap intervals (Efron 1979).
//
// A resample draws as many rows as there are, with replacement; an interval spans the 2.5th to 97.5th
// percentile over resamples. Rows are sorted by score once. A resample is then a count per row, measured in
// one pass from the highest score down, in O(rows).
//
// Draw i of resample r depends only on (seed, r, i), from Philox: every machine draws the same rows.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace warpbert {

// Measures of metrics.h. The threshold of highest F1 is searched anew in every resample, so the intervals at
// it include the search's uncertainty. The best F1 stays optimistic: it is measured where it is chosen.
struct Measures {
  std::optional<double> auc;    // nullopt if a class is missing
  double accuracy = 0, f1 = 0;  // at 0.5
  double best_threshold = 0, accuracy_at_best_f1 = 0, best_f1 = 0;
  double log_loss = 0;
};

Measures measure(std::span<const float> scores, std::span<const float> labels);

// Row of each draw: a 32-bit random word times `rows`, shifted right by 32; relative bias below rows·2⁻³².
std::vector<uint32_t> draw_rows(uint64_t seed, uint32_t resample, size_t rows);

// Rows by descending score.
class RankedRows {
 public:
  RankedRows(std::span<const float> scores, std::span<const float> labels);
  // Measures when row i of the input occurs counts[i] times.
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
// 2.5th and 97.5th percentile; the p-th of n sorted values is at p/100·(n − 1), linearly interpolated.
// nullopt for no values.
std::optional<Interval> percentile_interval(std::vector<double> values);

// One line of the table. `value` is nullopt if undefined; `interval` also without resamples.
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

// Resamples that lack a class do not count for the AUC's interval.
Evaluation evaluate(std::span<const float> scores, std::span<const float> labels, int resamples,
                    uint64_t seed);

std::string evaluation_table(const Evaluation& evaluation);
std::string evaluation_json(const Evaluation& evaluation);  // one line; undefined values are null

}  // namespace warpbert
