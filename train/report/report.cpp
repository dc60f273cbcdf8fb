#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "chart.h"
#include "io/atomic_file.h"
#include "io/format.h"
#include "page.h"
#include "train/score/metrics.h"

namespace warpbert {
namespace {

std::string tile(const std::string& value, const std::string& what) {
  return fmt::format("<div class='tile'><b>{}</b><span>{}</span></div>\n", escape_html(value),
                     escape_html(what));
}

// ---- Summary ----------------------------------------------------------------------------------------------

std::string result(const RunRecord& run) {
  std::string tiles;
  if (std::isfinite(run.best_auc)) tiles += tile(fmt::format("{:.4f}", run.best_auc), "best validation AUC");
  if (run.best_epoch > 0)
    tiles += tile(fmt::format("{}", run.best_epoch), fmt::format("best epoch, of {}", run.epochs.size()));
  if (run.seconds > 0) tiles += tile(io::duration_text(run.seconds), "wall-clock time");
  if (!run.epochs.empty() && std::isfinite(run.epochs.back().pairs_per_s))
    tiles += tile(short_number(std::round(run.epochs.back().pairs_per_s)), "pairs a second");
  return fmt::format("<header>\n<h1>{}</h1>\n{}</header>\n",
                     escape_html(run.name.empty() ? "Training run" : run.name),
                     tiles.empty() ? "<p>Nothing has been measured yet.</p>\n"
                                   : "<div class='tiles'>\n" + tiles + "</div>\n");
}

// ---- Training ---------------------------------------------------------------------------------------------

// Moving average of the finite values, half a window on either side.
std::vector<double> smoothed(const std::vector<double>& values, size_t window) {
  std::vector<double> sums{0}, counts{0}, out;
  for (const double v : values) {
    sums.push_back(sums.back() + (std::isfinite(v) ? v : 0));
    counts.push_back(counts.back() + (std::isfinite(v) ? 1 : 0));
  }
  for (size_t i = 0; i < values.size(); i++) {
    const size_t reach =
        std::min({window / 2, i, values.size() - 1 - i});  // symmetric, so that the ends are not shifted
    const size_t first = i - reach, last = i + reach + 1;
    out.push_back((sums[last] - sums[first]) / (counts[last] - counts[first]));  // 0/0 = undefined
  }
  return out;
}

// Chart with trend; logarithmic if the values span a factor of ten.
std::string step_chart(const RunRecord& run, double StepRecord::*field, const std::string& title,
                       const std::string& note, const std::string& unit, int color) {
  std::vector<double> x, y;
  for (const StepRecord& r : run.steps) x.push_back(double(r.step)), y.push_back(r.*field);
  std::vector<double> finite;
  for (const double v : y)
    if (std::isfinite(v)) finite.push_back(v);
  if (finite.empty()) return "";
  const auto [least, most] = std::minmax_element(finite.begin(), finite.end());
  LineChart chart;
  chart.description = title + " by step";
  chart.x = {"step", 0, undefined, true};
  chart.y.label = unit;
  chart.y.log = *least > 0 && *most > 10 * *least;
  const std::vector<double> trend = smoothed(y, std::max<size_t>(y.size() / 25, 5));
  if (y.size() > 10) {
    chart.series = {{"", color, x, y, true}, {"", color, x, trend}};
  } else {
    chart.series = {{"", color, x, y}};
  }
  const auto last = std::find_if(trend.rbegin(), trend.rend(), [](double v) { return std::isfinite(v); });
  return figure(title, note + fmt::format(" Ends at {:.3f}.", *last), line_chart(chart));
}

std::string auc_chart(const RunRecord& run) {
  LineChart chart;
  chart.description = "AUC of the validation rows by epoch";
  chart.x = {"epoch", undefined, undefined, true};
  Series auc{"", 1, {}, {}, false, true};
  for (const EpochRecord& e : run.epochs) auc.x.push_back(e.epoch), auc.y.push_back(e.auc);
  chart.series = {auc};
  if (run.best_epoch > 0 && std::isfinite(run.best_auc))
    chart.marks = {{double(run.best_epoch), run.best_auc,
                    fmt::format("{:.4f} in epoch {}", run.best_auc, run.best_epoch), 1}};
  return figure("Validation AUC", "A random match scores higher than a random miss this often.",
                line_chart(chart));
}

// The two losses diverge when the model overfits.
std::string label_loss_chart(const RunRecord& run) {
  Series training{"training", 2, {}, {}, false, true}, validation{"validation", 1, {}, {}, false, true};
  bool measured = false;
  for (const EpochRecord& e : run.epochs) {
    training.x.push_back(e.epoch), training.y.push_back(e.loss_cls);
    validation.x.push_back(e.epoch), validation.y.push_back(e.log_loss);
    measured |= std::isfinite(e.log_loss);
  }
  if (!measured) return "";
  LineChart chart;
  chart.description = "Loss of the labels by epoch, in training and validation";
  chart.x = {"epoch", undefined, undefined, true};
  chart.y.label = "nats a pair";
  chart.series = {training, validation};
  return figure(
      "Labels: training and validation",
      "Training is the mean over the epoch, dropout on; validation the log loss of the scores after it.",
      line_chart(chart));
}

std::string rate_chart(const RunRecord& run) {
  LineChart chart;
  chart.description = "Learning rate by step";
  chart.x = {"step", 0, undefined, true};
  chart.y.low = 0;
  Series rate{"", 4, {}, {}};
  for (const StepRecord& r : run.steps) rate.x.push_back(double(r.step)), rate.y.push_back(r.lr);
  chart.series = {rate};
  return figure("Learning rate", "As Adam had it in each step.", line_chart(chart));
}

std::string speed_chart(const RunRecord& run) {
  LineChart chart;
  chart.description = "Pairs a second by step";
  chart.x = {"step", 0, undefined, true};
  chart.y.low = 0;
  Series speed{"", 3, {}, {}};
  for (const StepRecord& r : run.steps) speed.x.push_back(double(r.step)), speed.y.push_back(r.pairs_per_s);
  chart.series = {speed};
  return figure("Speed", "Pairs a second, data loading included.", line_chart(chart));
}

std::string training(const RunRecord& run) {
  return charts(
      auc_chart(run) + label_loss_chart(run) +
      step_chart(run, &StepRecord::loss_cls, "Loss of the labels", "Cross-entropy of YES or NO at [CLS].",
                 "nats a target", 1) +
      step_chart(run, &StepRecord::loss_mlm, "Loss of the masked tokens",
                 "Cross-entropy of the hidden tokens.", "nats a target", 2) +
      step_chart(run, &StepRecord::grad_norm, "Norm of the gradient", "Of all parameters together.", "", 4) +
      rate_chart(run) + speed_chart(run));
}

// ---- Validation -------------------------------------------------------------------------------------------

bool positive(float label) { return label >= 0.5f; }

std::vector<size_t> by_score(const std::vector<float>& scores) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  return order;
}

struct Confusion {
  double hits = 0, misses = 0, false_alarms = 0, rejections = 0;
  double true_rate() const { return hits / (hits + misses); }
  double false_rate() const { return false_alarms / (false_alarms + rejections); }
};

Confusion confusion(const RunRecord& run, float threshold) {
  Confusion c;
  for (size_t i = 0; i < run.scores.size(); i++) {
    const bool found = run.scores[i] >= threshold;
    (positive(run.labels[i]) ? (found ? c.hits : c.misses) : (found ? c.false_alarms : c.rejections))++;
  }
  return c;
}

// Rows of equal score pass the threshold together: one point per distinct score.
std::string roc_chart(const RunRecord& run, const Confusion& at_best, double area) {
  const std::vector<size_t> order = by_score(run.scores);
  const double matches = at_best.hits + at_best.misses, others = at_best.false_alarms + at_best.rejections;
  Series roc{"", 1, {0}, {0}};
  double hits = 0, false_alarms = 0;
  for (size_t i = 0; i < order.size(); i++) {
    (positive(run.labels[order[i]]) ? hits : false_alarms)++;
    if (i + 1 < order.size() && run.scores[order[i + 1]] == run.scores[order[i]]) continue;
    roc.x.push_back(false_alarms / others), roc.y.push_back(hits / matches);
  }
  LineChart chart;
  chart.description = "Receiver operating characteristic";
  chart.x = {"share of the misses taken for matches", 0, 1};
  chart.y = {"share of the matches found", 0, 1};
  chart.series = {roc};
  chart.marks = {{at_best.false_rate(), at_best.true_rate(), "", 1}};
  chart.diagonal = true;
  return figure("ROC curve",
                fmt::format("The area under it is {:.4f}; the ring is the best threshold.", area),
                line_chart(chart));
}

std::string score_chart(const RunRecord& run, float threshold) {
  constexpr size_t bins = 40;
  Bars miss{"no match", 2, std::vector<double>(bins)}, match{"match", 1, std::vector<double>(bins)};
  for (size_t i = 0; i < run.scores.size(); i++)
    (positive(run.labels[i]) ? match : miss)
        .heights[std::min(size_t(std::clamp(run.scores[i], 0.0f, 1.0f) * bins), bins - 1)]++;
  Histogram chart;
  chart.description = "Scores by class";
  chart.x.label = "score";
  chart.y.label = "rows";
  chart.groups = {miss, match};
  chart.rule = threshold, chart.rule_text = fmt::format("threshold {:.3f}", threshold);
  return figure("Scores by class", "Where the two overlap, the model is in doubt.", histogram(chart));
}

std::string confusion_table(const Confusion& c, const RunRecord& run, const BestThreshold& best) {
  const double all = double(run.scores.size());
  const auto cell = [&](double count, bool right) {
    const double share = count / all;
    return fmt::format("<td class='{}' style='--share:{:.0f}%'><b>{:.0f}</b><br>{:.1f} %</td>",
                       right ? "right" : "wrong", 100 * share, count, 100 * share);
  };
  std::string s =
      "<table class='confusion'>\n<tr><th></th><th>scored a match</th><th>scored no match</th></tr>\n";
  s += "<tr><th>match</th>" + cell(c.hits, true) + cell(c.misses, false) + "</tr>\n";
  s += "<tr><th>no match</th>" + cell(c.false_alarms, false) + cell(c.rejections, true) + "</tr>\n</table>\n";
  s += table({{"Threshold", fmt::format("{:.4f}", best.threshold)},
              {"F1", fmt::format("{:.4f}", best.f1)},
              {"Precision", fmt::format("{:.4f}", c.hits / (c.hits + c.false_alarms))},
              {"Recall", fmt::format("{:.4f}", c.true_rate())},
              {"Accuracy", fmt::format("{:.4f}", (c.hits + c.rejections) / all)}});
  return "<figure class='wide'>\n<figcaption><b>At the best threshold</b> The score of the highest F1 on "
         "these "
         "rows.</figcaption>\n"
         "<div class='beside'>\n" +
         s + "</div>\n</figure>\n";
}

// Returns "" without scores of both classes.
std::string validation(const RunRecord& run) {
  if (run.scores.empty() || run.scores.size() != run.labels.size()) return "";
  if (std::any_of(run.scores.begin(), run.scores.end(), [](float s) { return !std::isfinite(s); })) return "";
  const auto area = auc(run.scores, run.labels);
  if (!area) return "";
  const BestThreshold best = best_threshold(run.scores, run.labels);
  const Confusion c = confusion(run, best.threshold);
  return charts(roc_chart(run, c, *area) + score_chart(run, best.threshold) + confusion_table(c, run, best));
}

// ---- Data, time, settings ---------------------------------------------------------------------------------

std::string length_chart(const RunRecord& run) {
  Histogram chart;
  chart.description = "Pairs by length";
  chart.x = {"tokens of a pair, special ones included", undefined, undefined, true};
  chart.y.label = "pairs";
  chart.low = -0.5, chart.high = double(run.lengths.size()) - 0.5;
  Bars bars{"", 3, {}};
  for (const long pairs : run.lengths) bars.heights.push_back(double(pairs));
  chart.groups = {bars};
  return figure("Lengths", "Batches are packed, so that short pairs cost little.", histogram(chart));
}

std::string time_bar(const RunRecord& run) {
  double total = 0;
  for (const auto& [what, seconds] : run.time_split) total += std::isfinite(seconds) ? seconds : 0;
  if (!(total > 0)) return "";
  std::string bar, legend;
  int color = 0;
  for (const auto& [what, seconds] : run.time_split) {
    if (!(seconds > 0)) continue;
    color = color % 4 + 1;
    const double share = 100 * seconds / total;
    bar += fmt::format("<span class='c{}' style='flex-grow:{:.4f}'></span>", color, share);
    legend += fmt::format("<li><i class='c{}'></i>{}<b>{}</b><span>{:.1f} %</span></li>\n", color,
                          escape_html(what), io::duration_text(seconds), share);
  }
  return "<figure>\n<figcaption><b>Time</b> What the run spent it on.</figcaption>\n<div class='timebar'>" +
         bar + "</div>\n<ul class='legend'>\n" + legend + "</ul>\n</figure>\n";
}

std::string epoch_table(const RunRecord& run) {
  if (run.epochs.empty()) return "";
  using E = EpochRecord;
  struct Column {
    const char *head, *format;
    double E::*value;
  };
  static constexpr Column columns[] = {{"loss", "{:.4f}", &E::loss},
                                       {"masked tokens", "{:.4f}", &E::loss_mlm},
                                       {"labels", "{:.4f}", &E::loss_cls},
                                       {"AUC", "{:.4f}", &E::auc},
                                       {"log loss", "{:.4f}", &E::log_loss},
                                       {"accuracy", "{:.4f}", &E::accuracy},
                                       {"F1", "{:.4f}", &E::f1},
                                       {"best F1", "{:.4f}", &E::best_f1},
                                       {"pairs/s", "{:.0f}", &E::pairs_per_s}};
  std::string s =
      "<details><summary>Every epoch</summary>\n<p class='note'>Masked tokens and labels: the two parts of "
      "the loss. "
      "AUC and what follows it: of the validation rows; accuracy and F1 at 0.5, best F1 at the threshold of "
      "the "
      "highest."
      "</p>\n<div class='scroll'><table class='numbers'>\n<tr><th>epoch</th>";
  for (const Column& column : columns) s += fmt::format("<th>{}</th>", column.head);
  s += "<th>time</th></tr>\n";
  for (const E& e : run.epochs) {
    s += fmt::format("<tr{}><td>{}</td>", e.epoch == run.best_epoch ? " class='best'" : "", e.epoch);
    for (const Column& column : columns)
      s += "<td>" + number_or_dash(e.*column.value, column.format) + "</td>";
    s += "<td>" + (std::isfinite(e.seconds) ? io::duration_text(e.seconds) : "–") + "</td></tr>\n";
  }
  return s + "</table></div></details>\n";
}

std::string configuration(const RunRecord& run) {
  return run.config.empty() ? ""
                            : "<details><summary>config.ini</summary>\n<pre>" + escape_html(run.config) +
                                  "</pre></details>\n";
}

}  // namespace

std::string report_html(const RunRecord& run) {
  return page(run.name.empty() ? "Training run" : run.name,
              result(run) + section("Training", training(run)) +
                  section("Validation by the best model", validation(run)) +
                  section("Data and time", charts(length_chart(run) + time_bar(run)) + table(run.facts)) +
                  section("Machine", table(run.machine)) +
                  section("Details", epoch_table(run) + configuration(run)));
}

void write_report(const std::string& path, const RunRecord& run) {
  io::write_file_atomically(path, report_html(run));
}

}  // namespace warpbert
