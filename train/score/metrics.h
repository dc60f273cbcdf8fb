// Pair scores and their measures.
//
// A score is a float: nine digits in a file restore it exactly, so measures computed from the file equal the
// logged ones. Labels are in [0, 1]; where a measure needs classes, 0.5 or more is positive. All throw
// std::invalid_argument for unequal lengths, no scores, or a NaN score.
#pragma once
#include <optional>
#include <span>

namespace warpbert {

// A pair's score from log p[NO] and log p[YES] at its [CLS].
float ratio_score(double log_no, double log_yes);    // p_yes/(p_no + p_yes + 10⁻⁸), the reference's
float sigmoid_score(double log_no, double log_yes);  // p_yes/(p_no + p_yes), unbiased if both are tiny

// Area under the ROC curve: share of (positive, negative) pairs whose positive scores higher, ties counted
// half (Mann & Whitney 1947). nullopt if a class is missing.
std::optional<double> auc(std::span<const float> scores, std::span<const float> labels);

// A row is predicted positive iff score >= threshold. f1 is 0 without true positives.
double accuracy(std::span<const float> scores, std::span<const float> labels, float threshold = 0.5f);
double f1(std::span<const float> scores, std::span<const float> labels, float threshold = 0.5f);

// Mean of −y·log s − (1 − y)·log(1 − s), with s clamped to [10⁻⁷, 1 − 10⁻⁷].
double log_loss(std::span<const float> scores, std::span<const float> labels);

// Threshold of highest F1; of equals the highest.
struct BestThreshold {
  float threshold;
  double f1;
};
BestThreshold best_threshold(std::span<const float> scores, std::span<const float> labels);

}  // namespace warpbert
