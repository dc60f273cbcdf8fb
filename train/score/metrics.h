// Scores of pairs, and how good they are.
//
// A score is a float: nine digits in a file restore it exactly, so measures computed from the file equal the logged
// ones. Labels are in [0, 1]; where a measure needs two classes, a label of 0.5 or more is positive. All throw
// std::invalid_argument for scores and labels of different lengths, for none, and for a score that is not a number.
#pragma once
#include <optional>
#include <span>

namespace warpbert {

// A pair's score from log p[NO] and log p[YES] at its [CLS].
float ratio_score(double log_no, double log_yes);    // p_yes/(p_no + p_yes + 10⁻⁸), the reference's
float sigmoid_score(double log_no, double log_yes);  // p_yes/(p_no + p_yes): without the bias where both are tiny

// Area under the ROC curve: the share of (positive, negative) pairs in which the positive one scores higher, ties
// counted half (Mann & Whitney 1947). Nothing when a class is missing.
std::optional<double> auc(std::span<const float> scores, std::span<const float> labels);

// Positive iff score >= threshold.
double accuracy(std::span<const float> scores, std::span<const float> labels, float threshold = 0.5f);
double f1(std::span<const float> scores, std::span<const float> labels, float threshold = 0.5f);  // 0 if none is found

// Mean of −y·log s − (1 − y)·log(1 − s), s cut to [10⁻⁷, 1 − 10⁻⁷].
double log_loss(std::span<const float> scores, std::span<const float> labels);

// The score at which to cut for the highest F1; of equals the highest.
struct BestThreshold {
  float threshold;
  double f1;
};
BestThreshold best_threshold(std::span<const float> scores, std::span<const float> labels);

}  // namespace warpbert
