#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "chart.h"
#include "metrics.h"
#include "progress.h"

namespace warpbert {
namespace {

// Colours of Okabe & Ito (2008), told apart by colour-blind readers; lightened in the dark.
constexpr const char* style = R"(
:root { --ink: #1b1b1b; --soft: #6b6b6b; --grid: #e4e4e4; --page: #ffffff; --card: #fafafa; --a: #0072b2; --b: #d55e00; --c: #009e73; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececec; --soft: #a0a0a0; --grid: #383838; --page: #161616; --card: #1f1f1f; --a: #56b4e9; --b: #e69f00; --c: #2fc79a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 1180px; margin: 2.5em auto; padding: 0 1.5em; }
h1 { font-size: 1.5em; margin: 0; } h2 { font-size: 1.05em; margin: 2em 0 .6em; } .sub { color: var(--soft); margin: .2em 0 1.6em; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 18px; }
svg { background: var(--card); border-radius: 8px; width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; }
.title { font-weight: 600; fill: var(--ink); } .tick { fill: var(--soft); } .grid { stroke: var(--grid); } .reference { stroke: var(--soft); stroke-dasharray: 4 4; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; } .line.a { stroke: var(--a); } .line.b { stroke: var(--b); } .line.c { stroke: var(--c); }
circle.a, rect.a, .label.a { fill: var(--a); } circle.b, rect.b, .label.b { fill: var(--b); } circle.c, .label.c { fill: var(--c); } .label { font-weight: 600; }
table { border-collapse: collapse; } td, th { padding: 3px 18px 3px 0; text-align: left; vertical-align: top; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } th { color: var(--soft); font-weight: 500; }
pre { background: var(--card); padding: 1em; border-radius: 8px; overflow: auto; font-size: 12.5px; }
@media print { body { max-width: none; margin: 0; } svg { break-inside: avoid; } }
)";

template <class Records, class Field>
Series series(const std::string& name, const char* css, const Records& records, Field field) {
  Series s{name, css, {}, {}};
  for (const auto& r : records) {
    const auto [x, y] = field(r);
    s.x.push_back(x), s.y.push_back(y);
  }
  return s;
}

// True and false positive rates as the threshold falls, a point for each distinct score.
Series roc(const std::vector<float>& scores, const std::vector<float>& labels) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  const double positives = double(std::count_if(labels.begin(), labels.end(), [](float l) { return l >= 0.5f; }));
  const double negatives = double(labels.size()) - positives;
  Series s{"", "a", {0}, {0}};
  double hit = 0, miss = 0;
  for (size_t i = 0; i < order.size(); i++) {
    (labels[order[i]] >= 0.5f ? hit : miss) += 1;
    if (i + 1 == order.size() || scores[order[i + 1]] != scores[order[i]])
      s.x.push_back(miss / negatives), s.y.push_back(hit / positives);
  }
  return s;
}

std::string charts(const RunRecord& run) {
  std::string s;
  const auto epochs = [&](const char* name, const char* css, double EpochRecord::*field) {
    return series(name, css, run.epochs, [&](const EpochRecord& e) { return std::pair(double(e.epoch), e.*field); });
  };
  Chart auc{"AUC of the validation rows",
            "epoch",
            {epochs("", "a", &EpochRecord::auc)},
            run.best_epoch - 1,
            std::isnan(run.best_auc) ? "" : fmt::format("{:.4f}", run.best_auc),
            false};
  s += line_chart(auc);
  const auto steps = [&](const char* name, const char* css, double StepRecord::*field) {
    return series(name, css, run.steps, [&](const StepRecord& r) { return std::pair(double(r.step), r.*field); });
  };
  s += line_chart({"Training loss",
                   "step",
                   {steps("all targets", "a", &StepRecord::loss), steps("masked tokens", "b", &StepRecord::loss_mlm),
                    steps("[CLS]", "c", &StepRecord::loss_cls)},
                   -1,
                   "",
                   false});
  if (!run.scores.empty() && run.scores.size() == run.labels.size() && !std::isnan(run.best_auc)) {
    Series yes{"match", "a", {}, {}}, no{"no match", "b", {}, {}};
    for (size_t i = 0; i < run.scores.size(); i++) (run.labels[i] >= 0.5f ? yes : no).x.push_back(run.scores[i]);
    s += line_chart(
        {"ROC: true by false positive rate", "false positive rate", {roc(run.scores, run.labels)}, -1, "", true});
    s += histogram("Scores by label: share of each class", "score", {yes, no});
  }
  return s;
}

// Confusion at the threshold with the highest F1.
std::string confusion(const RunRecord& run) {
  if (run.scores.empty() || run.scores.size() != run.labels.size() || std::isnan(run.best_auc)) return "";
  const auto best = best_threshold(run.scores, run.labels);
  long n[2][2] = {};
  for (size_t i = 0; i < run.scores.size(); i++) n[run.labels[i] >= 0.5f][run.scores[i] >= best.threshold]++;
  return fmt::format(
      "<h2>Validation rows at the threshold of the highest F1</h2><table><tr><th></th><th class='n'>called no "
      "match</th>"
      "<th class='n'>called match</th></tr><tr><th>no match</th><td class='n'>{}</td><td class='n'>{}</td></tr>"
      "<tr><th>match</th><td class='n'>{}</td><td class='n'>{}</td></tr></table>"
      "<p class='sub'>threshold {:.4f} · F1 {:.4f} · accuracy {:.4f} · log loss {:.4f}</p>\n",
      n[0][0], n[0][1], n[1][0], n[1][1], best.threshold, best.f1, accuracy(run.scores, run.labels, best.threshold),
      log_loss(run.scores, run.labels));
}

std::string epoch_table(const RunRecord& run) {
  if (run.epochs.empty()) return "";
  std::string s =
      "<h2>Epochs</h2><table><tr><th class='n'>epoch</th><th class='n'>loss</th><th class='n'>masked tokens</th>"
      "<th class='n'>[CLS]</th><th class='n'>AUC</th><th class='n'>pairs/s</th></tr>\n";
  const auto cell = [](double v, int digits) {
    return std::isfinite(v) ? fmt::format("<td class='n'>{:.{}f}</td>", v, digits)
                            : std::string("<td class='n'>–</td>");
  };
  for (const EpochRecord& e : run.epochs)
    s += fmt::format("<tr><td class='n'>{}</td>{}{}{}{}{}</tr>\n", e.epoch, cell(e.loss, 4), cell(e.loss_mlm, 4),
                     cell(e.loss_cls, 4), cell(e.auc, 4), cell(e.pairs_per_s, 0));
  return s + "</table>\n";
}

}  // namespace

std::string report_html(const RunRecord& run) {
  std::string result = "No epoch was finished.";
  if (run.best_epoch)
    result = fmt::format("{} {} of {} epochs; {} of training.",
                         std::isnan(run.best_auc) ? "AUC undefined; kept the model of epoch"
                                                  : fmt::format("Best AUC {:.4f} in epoch", run.best_auc),
                         run.best_epoch, run.epochs.size(), duration_text(run.seconds));
  std::string facts;
  for (const auto& [name, value] : run.facts)
    facts += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", escape_html(name), escape_html(value));
  return fmt::format(
      "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'/><meta name='viewport' "
      "content='width=device-width'/>"
      "<title>warpbert run</title><style>{}</style></head><body>\n<h1>Training run</h1><p class='sub'>{}</p>\n"
      "<div class='charts'>\n{}</div>\n{}<h2>What was "
      "trained</h2><table>\n{}</table>\n{}<h2>Configuration</h2><pre>{}</pre>\n"
      "</body></html>\n",
      style, escape_html(result), charts(run), confusion(run), facts, epoch_table(run), escape_html(run.config));
}

}  // namespace warpbert
