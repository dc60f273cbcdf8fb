#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <span>

#include "io/atomic_file.h"
#include "train/score/metrics.h"

namespace warpbert {
namespace {

constexpr size_t max_points = 400;  // of a curve

// ---- Curves over steps ------------------------------------------------------------------------------------

// Non-finite values have weight 0.
struct Weighted {
  std::vector<double> values, weights;
};

// Over [first, last); undefined without weight.
double mean(const Weighted& points, size_t first, size_t last) {
  double sum = 0, weight = 0;
  for (size_t i = first; i < last; i++)
    if (points.weights[i] > 0) sum += points.weights[i] * points.values[i], weight += points.weights[i];
  return sum / weight;
}

// Steps that each record covers; earlier versions did not write it.
std::vector<double> covered_steps(std::span<const StepRecord> records) {
  std::vector<double> steps;
  long previous = 0;
  for (const StepRecord& r : records) {
    steps.push_back(std::isfinite(r.steps) ? r.steps : double(std::max(r.step - previous, 1L)));
    previous = r.step;
  }
  return steps;
}

Weighted field_values(std::span<const StepRecord> records, double StepRecord::*field) {
  Weighted all{{}, covered_steps(records)};
  for (size_t i = 0; i < records.size(); i++) {
    all.values.push_back(records[i].*field);
    if (!std::isfinite(all.values.back())) all.weights[i] = 0;
  }
  return all;
}

// At most max_points means of equal stretches.
Weighted thinned(const Weighted& all) {
  const size_t n = all.values.size(), points = std::min(n, max_points);
  Weighted out;
  for (size_t i = 0; i < points; i++) {
    const size_t first = i * n / points, last = (i + 1) * n / points;
    out.values.push_back(mean(all, first, last));
    out.weights.push_back(
        std::accumulate(all.weights.begin() + long(first), all.weights.begin() + long(last), 0.0));
  }
  return out;
}

// Moving weighted mean; the window shrinks at the start, where losses fall steeply.
std::vector<double> smoothed(const Weighted& points) {
  const size_t n = points.values.size(), reach = std::max<size_t>(n / 25, 5) / 2;
  std::vector<double> out;
  for (size_t i = 0; i < n; i++)
    out.push_back(mean(points, i - std::min(i, reach), std::min({i + reach, 2 * i, n - 1}) + 1));
  return out;
}

bool any_finite(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

// {"step": […], "<field>": {"values": […], "smoothed": […]}, …}; omits fields without a finite value.
Json steps_json(std::span<const StepRecord> records) {
  using R = StepRecord;
  Json json;
  if (records.empty()) return json;
  Weighted steps{{}, covered_steps(records)};
  for (const R& r : records) steps.values.push_back(double(r.step));
  json["step"] = thinned(steps).values;
  for (const auto& field : step_fields()) {
    if (field.value != &R::loss && field.value != &R::loss_mlm && field.value != &R::loss_cls &&
        field.value != &R::lr && field.value != &R::pairs_per_s && field.value != &R::grad_norm)
      continue;
    const Weighted points = thinned(field_values(records, field.value));
    if (!any_finite(points.values)) continue;
    json[field.key]["values"] = points.values;
    if (points.values.size() > 10) json[field.key]["smoothed"] = smoothed(points);
  }
  return json;
}

Json last_epoch_json(const RunRecord& run) {
  Json json;
  if (run.epochs.empty()) return json;
  const EpochRecord& last = run.epochs.back();
  add_known(json, "loss", last.loss);
  add_known(json, "loss_mlm", last.loss_mlm);
  add_known(json, "loss_cls", last.loss_cls);
  Weighted norm = field_values(run.steps, &StepRecord::grad_norm);
  for (size_t i = 0; i < run.steps.size(); i++)
    if (run.steps[i].epoch != last.epoch) norm.weights[i] = 0;
  add_known(json, "grad_norm", mean(norm, 0, norm.values.size()));
  return json;
}

// ---- Validation -------------------------------------------------------------------------------------------

bool positive(float label) { return label >= 0.5f; }

Json confusion_json(const Confusion& c) {
  const auto or_null = [](std::optional<double> share) { return share ? Json(*share) : Json(nullptr); };
  return {{"true_positives", c.true_positives},
          {"false_negatives", c.false_negatives},
          {"false_positives", c.false_positives},
          {"true_negatives", c.true_negatives},
          {"true_positive_rate", or_null(c.recall())},
          {"false_positive_rate", double(c.false_positives) / double(c.negatives())},
          {"precision", or_null(c.precision())},
          {"recall", or_null(c.recall())},
          {"accuracy", c.accuracy()}};
}

// A point per distinct score; of more than max_points, every k-th.
Json roc_json(const RankedRows& rows) {
  std::vector<double> x{0}, y{0};
  rows.sweep({}, [&](float, const Confusion& c) {
    x.push_back(double(c.false_positives) / double(c.negatives()));
    y.push_back(double(c.true_positives) / double(c.positives()));
  });
  Json json{{"false_positive_rate", Json::array()}, {"true_positive_rate", Json::array()}};
  const size_t points = std::min(x.size(), max_points);
  for (size_t i = 0; i < points; i++) {
    const size_t at = i * (x.size() - 1) / (points - 1);
    json["false_positive_rate"].push_back(x[at]), json["true_positive_rate"].push_back(y[at]);
  }
  return json;
}

// Equal bins over [0, 1].
Json score_histogram(const RunRecord& run) {
  constexpr size_t bins = 40;
  std::vector<size_t> match(bins), no_match(bins);
  for (size_t i = 0; i < run.scores.size(); i++)
    (positive(run.labels[i])
         ? match
         : no_match)[std::min(size_t(std::clamp(run.scores[i], 0.0f, 1.0f) * bins), bins - 1)]++;
  return {{"match", match}, {"no_match", no_match}};
}

// Null without scores of both classes.
Json validation_json(const RunRecord& run) {
  if (run.scores.empty() || run.scores.size() != run.labels.size()) return {};
  if (std::any_of(run.scores.begin(), run.scores.end(), [](float s) { return !std::isfinite(s); })) return {};
  const RankedRows rows(run.scores, run.labels);
  const Measures measures = rows.measure();
  if (!measures.auc) return {};
  const Confusion best = rows.measure({}, float(measures.best_threshold)).at_threshold;
  return {{"rows", run.scores.size()},
          {"auc", *measures.auc},
          {"threshold", measures.best_threshold},
          {"f1", measures.best_f1},
          {"confusion", confusion_json(best)},
          {"roc", roc_json(rows)},
          {"scores", score_histogram(run)}};
}

// ---- Data and time ----------------------------------------------------------------------------------------

Json classes_json(const std::vector<ClassCounts>& classes) {
  Json json = Json::array();
  for (const ClassCounts& c : classes)
    if (c.match + c.no_match > 0)
      json.push_back({{"name", c.name}, {"match", c.match}, {"no_match", c.no_match}});
  return json;
}

Json time_json(const RunRecord& run) {
  Json json = Json::array();
  for (const auto& [name, seconds] : run.time_split)
    if (std::isfinite(seconds) && seconds > 0) json.push_back({{"name", name}, {"seconds", seconds}});
  return json;
}

std::vector<Fact> main_figures(const RunRecord& run) {
  std::vector<Fact> figures;
  if (std::isfinite(run.best_auc))
    figures.emplace_back("Best validation AUC",
                         fmt::format("{:.4f} in epoch {}", run.best_auc, run.best_epoch));
  if (!run.epochs.empty() && std::isfinite(run.epochs.back().auc))
    figures.emplace_back("Final validation AUC", fmt::format("{:.4f}", run.epochs.back().auc));
  if (!run.epochs.empty() && std::isfinite(run.epochs.back().loss))
    figures.emplace_back("Training loss, mean of the last epoch",
                         fmt::format("{:.4f}", run.epochs.back().loss));
  if (figures.empty()) figures.emplace_back("Figures", "none measured yet");
  return figures;
}

}  // namespace

Json epochs_json(const std::vector<EpochRecord>& epochs) {
  Json json = Json::array();
  double elapsed = 0;
  for (const EpochRecord& e : epochs) {
    Json one{{"epoch", e.epoch}};
    for (const auto& field : epoch_fields()) add_known(one, field.key, e.*field.value);
    add_known(one, "elapsed", elapsed += e.seconds);
    json.push_back(one);
  }
  return json;
}

Json run_json(const RunRecord& run) {
  Json json{{"name", run.name.empty() ? "Training run" : run.name}};
  add_known(json, "first_record", run.first_record);
  add_known(json, "ended", run.ended);
  add_known(json, "best_auc", run.best_auc);
  if (run.best_epoch > 0) json["best_epoch"] = run.best_epoch;
  add_known(json, "threshold", run.threshold);
  add_known(json, "data_hash", run.data_hash);
  add_known(json, "weights_hash", run.weights_hash);
  if (run.seconds > 0) add_known(json, "seconds", run.seconds);
  if (!run.epochs.empty()) add_known(json, "pairs_per_s", run.epochs.back().pairs_per_s);
  add_known(json, "last_epoch", last_epoch_json(run));
  add_known(json, "epochs", epochs_json(run.epochs));
  add_known(json, "steps", steps_json(run.steps));
  add_known(json, "validation", validation_json(run));
  if (std::any_of(run.lengths.begin(), run.lengths.end(), [](long n) { return n > 0; }))
    json["lengths"] = run.lengths;
  add_known(json, "classes", classes_json(run.classes));
  add_known(json, "time_split", time_json(run));
  add_known(json, "facts", facts_json(run.facts));
  add_known(json, "machine", facts_json(run.machine));
  add_known(json, "config", run.config);
  return json;
}

std::string report_html(const RunRecord& run) {
  return page_html(run.name.empty() ? "Training run" : run.name, run_json(run), main_figures(run));
}

void write_report(const std::string& html_path, const std::string& json_path, const RunRecord& run) {
  io::write_file_atomically(json_path, json_text(run_json(run)));
  io::write_file_atomically(html_path, report_html(run));
}

}  // namespace warpbert
