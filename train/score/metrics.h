// Pair scores and their measures.
//
// A score is a float: nine digits in a file restore it exactly, so measures computed from the file equal the
// logged ones. Labels are in [0, 1]; where a measure needs classes, 0.5 or more is positive. All throw
// std::invalid_argument for unequal lengths, no scores, or a NaN score.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace warpbert {

// A pair's score from log p[NO] and log p[YES] at its [CLS].
float ratio_score(double log_no, double log_yes);    // p_yes/(p_no + p_yes + 10⁻⁸), the reference's
float sigmoid_score(double log_no, double log_yes);  // p_yes/(p_no + p_yes), unbiased if both are tiny

// Number of rows by predicted class and label.
struct Confusion {
  uint64_t true_positives = 0, false_positives = 0, false_negatives = 0, true_negatives = 0;

  uint64_t positives() const { return true_positives + false_negatives; }  // by label
  uint64_t negatives() const { return false_positives + true_negatives; }
  double accuracy() const;
  double f1() const;                        // 0 without true positives
  std::optional<double> precision() const;  // nullopt if no row is predicted positive
  std::optional<double> recall() const;     // nullopt without positives
};

// All measures of one sample. A row is predicted positive iff score >= threshold. The best F1 is optimistic:
// the same rows choose and measure its threshold, of equals the highest.
struct Measures {
  // Area under the ROC curve: share of (positive, negative) pairs whose positive scores higher, ties counted
  // half (Mann & Whitney 1947). nullopt if a class is missing.
  std::optional<double> auc;
  double accuracy = 0, f1 = 0;  // at 0.5
  double best_threshold = 0, accuracy_at_best_f1 = 0, best_f1 = 0;
  double log_loss = 0;
  Confusion at_threshold;  // at a threshold of the caller
};

// Rows by descending score. Every measure is a sweep over them; a resample is a count per row and needs no
// further sort.
class RankedRows {
 public:
  RankedRows(std::span<const float> scores, std::span<const float> labels);

  // Calls visit(score, confusion) for each distinct score, from the highest down: rows of this score or more
  // are predicted positive. Row i of the input occurs counts[i] times, or once without counts; a score of no
  // row is left out.
  template <class Visit>
  void sweep(std::span<const uint32_t> counts, Visit visit) const {
    const auto count = [&](const Row& row) { return counts.empty() ? 1 : counts[row.index]; };
    const Confusion all = predicted_negative(counts);
    uint64_t above[2] = {};  // negatives, positives
    for (size_t i = 0; i < rows_.size();) {
      const float score = rows_[i].score;
      uint64_t here[2] = {};
      for (; i < rows_.size() && rows_[i].score == score; i++) here[rows_[i].positive] += count(rows_[i]);
      above[0] += here[0], above[1] += here[1];
      if (here[0] + here[1])
        visit(score,
              Confusion{above[1], above[0], all.false_negatives - above[1], all.true_negatives - above[0]});
    }
  }
  // The confusion above the highest score.
  Confusion predicted_negative(std::span<const uint32_t> counts = {}) const;

  Measures measure(std::span<const uint32_t> counts = {}, float threshold = 0.5f) const;

 private:
  struct Row {
    float score;
    bool positive;
    double loss;
    size_t index;  // in the input
  };
  std::vector<Row> rows_;
};

// Mean of −y·log s − (1 − y)·log(1 − s), with s clamped to [10⁻⁷, 1 − 10⁻⁷].
double log_loss(std::span<const float> scores, std::span<const float> labels);

// All measures; the log loss is summed in row order.
Measures measure(std::span<const float> scores, std::span<const float> labels, float threshold = 0.5f);

}  // namespace warpbert
