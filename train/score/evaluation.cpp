#include "evaluation.h"
#include "engine/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "metrics.h"

namespace warpbert {

// ---- One sample -------------------------------------------------------------------------------------------

Measures measure(std::span<const float> scores, std::span<const float> labels) {
  const BestThreshold best = best_threshold(scores, labels);
  return {auc(scores, labels),
          accuracy(scores, labels),
          f1(scores, labels),
          best.threshold,
          accuracy(scores, labels, best.threshold),
          best.f1,
          log_loss(scores, labels)};
}

std::vector<uint32_t> draw_rows(uint64_t seed, uint32_t resample, size_t rows) {
  std::vector<uint32_t> drawn(rows);
  for (size_t i = 0; i < rows; i += 4) {
    const Random4 random = random4(seed, resample, 0, i / 4);
    for (size_t k = 0; k < 4 && i + k < rows; k++) drawn[i + k] = multiply_high(random.v[k], uint32_t(rows));
  }
  return drawn;
}

RankedRows::RankedRows(std::span<const float> scores, std::span<const float> labels) {
  for (size_t i = 0; i < scores.size(); i++)
    rows_.push_back(
        {scores[i], labels[i] >= 0.5f, warpbert::log_loss(scores.subspan(i, 1), labels.subspan(i, 1)), i});
  std::sort(rows_.begin(), rows_.end(), [](const Row& x, const Row& y) {
    return x.score != y.score ? x.score > y.score : x.index < y.index;
  });
}

Measures RankedRows::measure(std::span<const uint32_t> counts) const {
  uint64_t all[2] = {};  // negatives, positives
  for (const Row& row : rows_) all[row.positive] += counts[row.index];
  const double rows = double(all[0] + all[1]);

  Measures m;
  uint64_t above[2] = {}, half_wins = 0;  // so far, from the highest score down
  const auto accuracy = [&] { return double(above[1] + all[0] - above[0]) / rows; };
  const auto f1 = [&] { return above[1] ? 2 * double(above[1]) / double(above[1] + above[0] + all[1]) : 0; };
  double loss = 0;
  bool past_half = false, any = false;
  for (size_t i = 0; i < rows_.size();) {
    const float score = rows_[i].score;
    if (!past_half && score < 0.5f) m.accuracy = accuracy(), m.f1 = f1(), past_half = true;
    uint64_t here[2] = {};
    for (; i < rows_.size() && rows_[i].score == score; i++) {
      const uint32_t count = counts[rows_[i].index];
      here[rows_[i].positive] += count;
      loss += count * rows_[i].loss;
    }
    if (!(here[0] + here[1])) continue;  // not drawn: no threshold of this sample
    half_wins += here[0] * (2 * above[1] + here[1]);
    above[0] += here[0], above[1] += here[1];
    if (!any || f1() > m.best_f1)
      m.best_threshold = score, m.best_f1 = f1(), m.accuracy_at_best_f1 = accuracy();
    any = true;
  }
  if (!past_half) m.accuracy = accuracy(), m.f1 = f1();
  m.log_loss = loss / rows;
  if (all[0] && all[1]) m.auc = double(half_wins) / (2 * double(all[0]) * double(all[1]));
  return m;
}

// ---- Bootstrap --------------------------------------------------------------------------------------------

std::optional<Interval> percentile_interval(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const auto percentile = [&](double p) {
    const double place = p / 100 * double(values.size() - 1);
    const size_t below = size_t(place), above = std::min(below + 1, values.size() - 1);
    return values[below] + (place - double(below)) * (values[above] - values[below]);
  };
  return Interval{percentile(2.5), percentile(97.5)};
}

Evaluation evaluate(std::span<const float> scores, std::span<const float> labels, int resamples,
                    uint64_t seed) {
  const Measures found = measure(scores, labels);
  const RankedRows ranked(scores, labels);
  std::vector<Measures> resampled;
  std::vector<uint32_t> counts(scores.size());
  for (int r = 0; r < resamples; r++) {
    std::fill(counts.begin(), counts.end(), 0);
    for (const uint32_t row : draw_rows(seed, uint32_t(r), counts.size())) counts[row]++;
    resampled.push_back(ranked.measure(counts));
  }

  Evaluation e{scores.size(),
               size_t(std::count_if(labels.begin(), labels.end(), [](float y) { return y >= 0.5f; })),
               resamples,
               seed,
               {}};
  const auto add = [&](const char* key, const char* name, auto Measures::*field) {
    std::vector<double> values;
    for (const Measures& m : resampled)
      if (const std::optional<double> value = m.*field) values.push_back(*value);
    e.measures.push_back({key, name, found.*field, percentile_interval(std::move(values))});
  };
  add("auc", "AUC", &Measures::auc);
  add("log_loss", "log loss", &Measures::log_loss);
  add("accuracy", "accuracy at 0.5", &Measures::accuracy);
  add("f1", "F1 at 0.5", &Measures::f1);
  add("best_threshold", "best threshold", &Measures::best_threshold);
  add("accuracy_at_best_f1", "accuracy at it", &Measures::accuracy_at_best_f1);
  add("best_f1", "F1 at it", &Measures::best_f1);
  return e;
}

// ---- Output -----------------------------------------------------------------------------------------------

std::string evaluation_table(const Evaluation& e) {
  std::string text =
      fmt::format("{:<16} {:>9}\n{:<16} {:>9}\n", "rows", e.rows, "positive rows", e.positives);
  if (e.resamples) text += fmt::format("{:26}   95 % of {} resamples\n", "", e.resamples);
  for (const Measured& m : e.measures) {
    text += fmt::format("{:<16} {:>9}", m.name, m.value ? fmt::format("{:.5f}", *m.value) : "undefined");
    if (m.interval) text += fmt::format("   {:.5f} to {:.5f}", m.interval->low, m.interval->high);
    text += "\n";
  }
  return text;
}

std::string evaluation_json(const Evaluation& e) {
  using Json = nlohmann::ordered_json;
  const auto or_null = [](bool defined, double value) { return defined ? Json(value) : Json(nullptr); };
  Json json{{"rows", e.rows}, {"positives", e.positives}, {"resamples", e.resamples}, {"seed", e.seed}};
  for (const Measured& m : e.measures)
    json[m.key] = {{"value", or_null(m.value.has_value(), m.value.value_or(0))},
                   {"low", or_null(m.interval.has_value(), m.interval ? m.interval->low : 0)},
                   {"high", or_null(m.interval.has_value(), m.interval ? m.interval->high : 0)}};
  return json.dump() + "\n";
}

}  // namespace warpbert
