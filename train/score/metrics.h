// Pair scores and their measures.
//
// Scores are floats: nine digits in a file restore them. Labels are in [0, 1]; 0.5 or more is positive. All
// throw std::invalid_argument for unequal lengths, no scores, or a NaN score.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace warpbert {

float ratio_score(double log_no, double log_yes);    // p_yes/(p_no + p_yes + 10⁻⁸), the reference
float sigmoid_score(double log_no, double log_yes);  // p_yes/(p_no + p_yes)

// Rows by predicted class and label.
struct Confusion {
  uint64_t true_positives = 0, false_positives = 0, false_negatives = 0, true_negatives = 0;

  uint64_t positives() const { return true_positives + false_negatives; }  // by label
  uint64_t negatives() const { return false_positives + true_negatives; }
  double accuracy() const;
  double f1() const;                        // 0 without true positives
  std::optional<double> precision() const;  // nullopt without predicted positives
  std::optional<double> recall() const;     // nullopt without positives
};

// A row is predicted positive iff score >= threshold. The best F1 is optimistic: the same rows choose and
// measure its threshold; ties take the highest.
struct Measures {
  // Share of (positive, negative) pairs whose positive scores higher, ties counted half (Mann & Whitney
  // 1947). nullopt if a class is missing.
  std::optional<double> auc;
  double accuracy = 0, f1 = 0;  // at 0.5
  double best_threshold = 0, accuracy_at_best_f1 = 0, best_f1 = 0;
  double log_loss = 0;
  Confusion at_threshold;  // at the caller's threshold
};

// Rows by descending score. A resample is a count per row and needs no sort.
class RankedRows {
 public:
  RankedRows(std::span<const float> scores, std::span<const float> labels);

  // Calls visit(score, confusion) for each distinct score, descending: rows of this score or more are
  // predicted positive. Row i occurs counts[i] times, or once without counts; scores of no row are left out.
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
  // Confusion above the highest score.
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

// The log loss is summed in row order.
Measures measure(std::span<const float> scores, std::span<const float> labels, float threshold = 0.5f);

}  // namespace warpbert
