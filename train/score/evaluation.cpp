#include "evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/random.h"

namespace warpbert {

// ---- Bootstrap --------------------------------------------------------------------------------------------

std::vector<uint32_t> draw_rows(uint64_t seed, uint32_t resample, size_t rows) {
  std::vector<uint32_t> drawn(rows);
  for (size_t i = 0; i < rows; i += 4) {
    const Random4 random = random4(seed, resample, 0, i / 4);
    for (size_t k = 0; k < 4 && i + k < rows; k++) drawn[i + k] = multiply_high(random.v[k], uint32_t(rows));
  }
  return drawn;
}

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

static std::optional<double> two_sided_p(std::span<const double> differences) {
  if (differences.empty()) return std::nullopt;
  const auto share = [&](auto holds) {
    const auto n = std::count_if(differences.begin(), differences.end(), holds);
    return double(1 + n) / double(1 + differences.size());
  };
  return std::min(
      1.0, 2 * std::min(share([](double d) { return d <= 0; }), share([](double d) { return d >= 0; })));
}

// Calls use(counts) for each resample: row i is drawn counts[i] times.
template <class Use>
static void for_each_resample(size_t rows, int resamples, uint64_t seed, Use use) {
  std::vector<uint32_t> counts(rows);
  for (int r = 0; r < resamples; r++) {
    std::fill(counts.begin(), counts.end(), 0);
    for (const uint32_t row : draw_rows(seed, uint32_t(r), rows)) counts[row]++;
    use(counts);
  }
}

Evaluation evaluate(std::span<const float> scores, std::span<const float> labels, int resamples,
                    uint64_t seed, std::optional<Threshold> threshold) {
  const float cut = threshold ? threshold->value : 0.5f;
  const Measures found = measure(scores, labels, cut);
  const RankedRows ranked(scores, labels);
  std::vector<Measures> resampled;
  for_each_resample(scores.size(), resamples, seed,
                    [&](const auto& counts) { resampled.push_back(ranked.measure(counts, cut)); });

  Evaluation e{scores.size(), size_t(found.at_threshold.positives()), resamples, seed, {}, threshold, {}};
  const auto measured = [&](const char* key, const char* name, auto get) -> Measured {
    std::vector<double> values;
    for (const Measures& m : resampled)
      if (const std::optional<double> value = get(m)) values.push_back(*value);
    return {key, name, get(found), percentile_interval(std::move(values))};
  };
  const auto add = [&](const char* key, const char* name, auto Measures::*field) {
    e.measures.push_back(measured(key, name, [=](const Measures& m) { return std::optional(m.*field); }));
  };
  add("auc", "AUC", &Measures::auc);
  add("log_loss", "log loss", &Measures::log_loss);
  add("accuracy", "accuracy at 0.5", &Measures::accuracy);
  add("f1", "F1 at 0.5", &Measures::f1);
  add("best_threshold", "best threshold", &Measures::best_threshold);
  add("accuracy_at_best_f1", "accuracy at it", &Measures::accuracy_at_best_f1);
  add("best_f1", "F1 at it", &Measures::best_f1);
  if (!threshold) return e;
  const auto add_at = [&](const char* key, const char* name, auto get) {
    e.at_threshold.push_back(measured(key, name, [=](const Measures& m) {
      return std::optional<double>(std::invoke(get, m.at_threshold));
    }));
  };
  add_at("accuracy_at_threshold", "accuracy at it", &Confusion::accuracy);
  add_at("f1_at_threshold", "F1 at it", &Confusion::f1);
  add_at("precision_at_threshold", "precision at it", &Confusion::precision);
  add_at("recall_at_threshold", "recall at it", &Confusion::recall);
  return e;
}

PairedComparison compare(std::span<const float> first, std::span<const float> second,
                         std::span<const float> labels, int resamples, uint64_t seed) {
  const RankedRows a(first, labels), b(second, labels);
  const auto auc = [](const Measures& m) { return m.auc; };
  const auto loss = [](const Measures& m) { return std::optional(m.log_loss); };
  const auto minus = [](std::optional<double> x, std::optional<double> y) -> std::optional<double> {
    if (!x || !y) return std::nullopt;
    return *x - *y;
  };
  std::vector<double> aucs, losses;  // differences
  for_each_resample(labels.size(), resamples, seed, [&](const auto& counts) {
    const Measures x = a.measure(counts), y = b.measure(counts);
    if (const auto difference = minus(auc(x), auc(y))) aucs.push_back(*difference);
    losses.push_back(x.log_loss - y.log_loss);
  });

  PairedComparison comparison{resamples, seed, {}};
  const Measures x = measure(first, labels), y = measure(second, labels);
  const auto add = [&](const char* key, const char* name, auto get, std::vector<double>& differences) {
    const auto p = two_sided_p(differences);
    comparison.differences.push_back(
        {key, name, get(x), get(y), minus(get(x), get(y)), percentile_interval(std::move(differences)), p});
  };
  add("auc", "AUC", auc, aucs);
  add("log_loss", "log loss", loss, losses);
  return comparison;
}

// ---- Output -----------------------------------------------------------------------------------------------

static std::string number_text(std::optional<double> value) {
  return value ? fmt::format("{:.5f}", *value) : "undefined";
}

static std::string interval_text(const std::optional<Interval>& interval) {
  return interval ? fmt::format("{:.5f} to {:.5f}", interval->low, interval->high) : "";
}

static std::string line_text(const Measured& m) {
  return fmt::format("{:<16} {:>9}{}{}\n", m.name, number_text(m.value), m.interval ? "   " : "",
                     interval_text(m.interval));
}

std::string evaluation_table(const Evaluation& e) {
  std::string text =
      fmt::format("{:<16} {:>9}\n{:<16} {:>9}\n", "rows", e.rows, "positive rows", e.positives);
  if (e.resamples) text += fmt::format("{:26}   95 % of {} resamples\n", "", e.resamples);
  for (const Measured& m : e.measures) {
    if (e.threshold && m.key == "best_threshold") {
      text += fmt::format("{:<16} {:>9.5f}   {}\n", "threshold", e.threshold->value, e.threshold->source);
      for (const Measured& at : e.at_threshold) text += line_text(at);
    }
    text += line_text(m);
  }
  return text;
}

std::string comparison_table(const PairedComparison& c) {
  std::string text = fmt::format("\n{:<10} {:>9} {:>9} {:>11}", "", "--run", "--against", "difference");
  if (c.resamples) text += fmt::format("   95 % of {} paired resamples {:>6}", c.resamples, "p");
  text += "\n";
  for (const PairedDifference& d : c.differences) {
    text += fmt::format("{:<10} {:>9} {:>9} {:>11}", d.name, number_text(d.first), number_text(d.second),
                        number_text(d.difference));
    if (d.interval) text += fmt::format("   {:<32} {:.5f}", interval_text(d.interval), *d.p);
    text += "\n";
  }
  return text;
}

namespace {

using Json = nlohmann::ordered_json;

Json or_null(std::optional<double> value) { return value ? Json(*value) : Json(nullptr); }

void add_interval(Json& json, const std::optional<Interval>& interval) {
  json["low"] = interval ? Json(interval->low) : Json(nullptr);
  json["high"] = interval ? Json(interval->high) : Json(nullptr);
}

Json to_json(const Evaluation& e) {
  Json json{{"rows", e.rows}, {"positives", e.positives}, {"resamples", e.resamples}, {"seed", e.seed}};
  if (e.threshold) json["threshold"] = e.threshold->value;
  for (const auto* measures : {&e.measures, &e.at_threshold})
    for (const Measured& m : *measures) {
      json[m.key]["value"] = or_null(m.value);
      add_interval(json[m.key], m.interval);
    }
  return json;
}

}  // namespace

std::string evaluation_json(const Evaluation& e) { return to_json(e).dump() + "\n"; }

std::string evaluation_json(const Evaluation& first, const PairedComparison& comparison) {
  Json json = to_json(first);
  for (const PairedDifference& d : comparison.differences) {
    Json& one = json["against"][d.key];
    one["value"] = or_null(d.second), one["difference"] = or_null(d.difference);
    add_interval(one, d.interval);
    one["p"] = or_null(d.p);
  }
  return json.dump() + "\n";
}

}  // namespace warpbert
