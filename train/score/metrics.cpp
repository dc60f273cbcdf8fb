#include "metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace warpbert {

float ratio_score(double log_no, double log_yes) {
  const double no = std::exp(log_no), yes = std::exp(log_yes);
  return float(yes / (no + yes + 1e-8));
}

float sigmoid_score(double log_no, double log_yes) { return float(1 / (1 + std::exp(log_no - log_yes))); }

static void check(std::span<const float> scores, std::span<const float> labels) {
  if (scores.size() != labels.size())
    throw std::invalid_argument(
        fmt::format("metrics: {} scores but {} labels", scores.size(), labels.size()));
  if (scores.empty()) throw std::invalid_argument("metrics: there are no scores");
  for (size_t i = 0; i < scores.size(); i++)
    if (std::isnan(scores[i]))
      throw std::invalid_argument(fmt::format("metrics: score {} is not a number", i));
}

static double row_loss(float score, float label) {
  const double s = std::clamp(double(score), 1e-7, 1 - 1e-7), y = label;
  return -(y * std::log(s) + (1 - y) * std::log(1 - s));
}

// ---- Confusion --------------------------------------------------------------------------------------------

static std::optional<double> share(uint64_t part, uint64_t whole) {
  if (!whole) return std::nullopt;
  return double(part) / double(whole);
}

double Confusion::accuracy() const {
  return double(true_positives + true_negatives) / double(positives() + negatives());
}
double Confusion::f1() const {
  return true_positives ? 2 * double(true_positives) / double(true_positives + false_positives + positives())
                        : 0;
}
std::optional<double> Confusion::precision() const {
  return share(true_positives, true_positives + false_positives);
}
std::optional<double> Confusion::recall() const { return share(true_positives, positives()); }

// ---- Ranked rows ------------------------------------------------------------------------------------------

RankedRows::RankedRows(std::span<const float> scores, std::span<const float> labels) {
  check(scores, labels);
  for (size_t i = 0; i < scores.size(); i++)
    rows_.push_back({scores[i], labels[i] >= 0.5f, row_loss(scores[i], labels[i]), i});
  std::sort(rows_.begin(), rows_.end(), [](const Row& x, const Row& y) {
    return x.score != y.score ? x.score > y.score : x.index < y.index;
  });
}

Confusion RankedRows::predicted_negative(std::span<const uint32_t> counts) const {
  Confusion c;
  for (const Row& row : rows_)
    (row.positive ? c.false_negatives : c.true_negatives) += counts.empty() ? 1 : counts[row.index];
  return c;
}

Measures RankedRows::measure(std::span<const uint32_t> counts, float threshold) const {
  Measures m;
  Confusion last = predicted_negative(counts), at_half = last;
  m.at_threshold = last;
  const double positives = double(last.positives()), negatives = double(last.negatives());
  uint64_t half_wins = 0;
  bool any = false;
  sweep(counts, [&](float score, const Confusion& c) {
    half_wins += (c.false_positives - last.false_positives) * (last.true_positives + c.true_positives);
    last = c;
    if (score >= 0.5f) at_half = c;
    if (score >= threshold) m.at_threshold = c;
    if (!any || c.f1() > m.best_f1)
      m.best_threshold = score, m.best_f1 = c.f1(), m.accuracy_at_best_f1 = c.accuracy();
    any = true;
  });
  if (positives > 0 && negatives > 0) m.auc = double(half_wins) / (2 * positives * negatives);
  m.accuracy = at_half.accuracy(), m.f1 = at_half.f1();
  double loss = 0;
  for (const Row& row : rows_) loss += (counts.empty() ? 1 : counts[row.index]) * row.loss;
  m.log_loss = loss / (positives + negatives);
  return m;
}

double log_loss(std::span<const float> scores, std::span<const float> labels) {
  check(scores, labels);
  double sum = 0;
  for (size_t i = 0; i < scores.size(); i++) sum += row_loss(scores[i], labels[i]);
  return sum / double(scores.size());
}

Measures measure(std::span<const float> scores, std::span<const float> labels, float threshold) {
  Measures m = RankedRows(scores, labels).measure({}, threshold);
  m.log_loss = log_loss(scores, labels);
  return m;
}

}  // namespace warpbert
