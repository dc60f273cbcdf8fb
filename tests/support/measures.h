// Single measures of scores.
#pragma once
#include <optional>
#include <span>

#include "train/score/metrics.h"

namespace warpbert::test {

using Values = std::span<const float>;

inline std::optional<double> auc(Values scores, Values labels) { return measure(scores, labels).auc; }
inline double accuracy(Values scores, Values labels, float threshold = 0.5f) {
  return measure(scores, labels, threshold).at_threshold.accuracy();
}
inline double f1(Values scores, Values labels, float threshold = 0.5f) {
  return measure(scores, labels, threshold).at_threshold.f1();
}

struct BestThreshold {
  float threshold;
  double f1;
};
inline BestThreshold best_threshold(Values scores, Values labels) {
  const Measures m = measure(scores, labels);
  return {float(m.best_threshold), m.best_f1};
}

}  // namespace warpbert::test
