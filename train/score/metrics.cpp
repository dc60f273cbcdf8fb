#include "metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace warpbert {

float ratio_score(double log_no, double log_yes) {
  const double no = std::exp(log_no), yes = std::exp(log_yes);
  return float(yes / (no + yes + 1e-8));
}

float sigmoid_score(double log_no, double log_yes) { return float(1 / (1 + std::exp(log_no - log_yes))); }

static void check(std::span<const float> scores, std::span<const float> labels) {
  if (scores.size() != labels.size()) {
    throw std::invalid_argument("metrics: " + std::to_string(scores.size()) + " scores but " +
                                std::to_string(labels.size()) + " labels");
  }
  if (scores.empty()) throw std::invalid_argument("metrics: there are no scores");
  for (size_t i = 0; i < scores.size(); i++)
    if (std::isnan(scores[i]))
      throw std::invalid_argument("metrics: score " + std::to_string(i) + " is not a number");
}

static bool positive(float label) { return label >= 0.5f; }

// Calls visit(score, positives, negatives) for every distinct score, from the highest down.
template <class Visit>
static void for_each_score(std::span<const float> scores, std::span<const float> labels, Visit visit) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return scores[i] > scores[j]; });
  for (size_t i = 0; i < order.size();) {
    const float score = scores[order[i]];
    uint64_t counts[2] = {};
    for (; i < order.size() && scores[order[i]] == score; i++) counts[positive(labels[order[i]])]++;
    visit(score, counts[1], counts[0]);
  }
}

std::optional<double> auc(std::span<const float> scores, std::span<const float> labels) {
  check(scores, labels);
  uint64_t positives = 0, negatives = 0, half_wins = 0;  // so far, from the highest score down
  for_each_score(scores, labels, [&](float, uint64_t p, uint64_t n) {
    half_wins += n * (2 * positives + p);
    positives += p, negatives += n;
  });
  if (!positives || !negatives) return std::nullopt;
  return double(half_wins) / (2 * double(positives) * double(negatives));
}

namespace {

struct Confusion {
  uint64_t true_positives = 0, false_positives = 0, positives = 0;  // positives: by label

  double f1() const {
    return true_positives ? 2 * double(true_positives) / double(true_positives + false_positives + positives)
                          : 0;
  }
};

}  // namespace

double accuracy(std::span<const float> scores, std::span<const float> labels, float threshold) {
  check(scores, labels);
  size_t right = 0;
  for (size_t i = 0; i < scores.size(); i++) right += (scores[i] >= threshold) == positive(labels[i]);
  return double(right) / double(scores.size());
}

double f1(std::span<const float> scores, std::span<const float> labels, float threshold) {
  check(scores, labels);
  Confusion c;
  for (size_t i = 0; i < scores.size(); i++) {
    const bool found = scores[i] >= threshold, is = positive(labels[i]);
    c.true_positives += found && is;
    c.false_positives += found && !is;
    c.positives += is;
  }
  return c.f1();
}

double log_loss(std::span<const float> scores, std::span<const float> labels) {
  check(scores, labels);
  double sum = 0;
  for (size_t i = 0; i < scores.size(); i++) {
    const double s = std::clamp(double(scores[i]), 1e-7, 1 - 1e-7), y = labels[i];
    sum -= y * std::log(s) + (1 - y) * std::log(1 - s);
  }
  return sum / double(scores.size());
}

BestThreshold best_threshold(std::span<const float> scores, std::span<const float> labels) {
  check(scores, labels);
  Confusion c;
  c.positives = uint64_t(std::count_if(labels.begin(), labels.end(), positive));
  BestThreshold best{*std::max_element(scores.begin(), scores.end()), 0};
  for_each_score(scores, labels, [&](float score, uint64_t p, uint64_t n) {
    c.true_positives += p, c.false_positives += n;
    if (c.f1() > best.f1) best = {score, c.f1()};
  });
  return best;
}

}  // namespace warpbert
