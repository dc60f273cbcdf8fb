#include "comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "chart.h"
#include "io/error.h"
#include "io/format.h"
#include "page.h"

namespace warpbert {

namespace fs = std::filesystem;

std::vector<ComparedRun> read_runs(const std::vector<std::string>& folders) {
  std::vector<ComparedRun> runs;
  const auto name = [](const std::string& folder) {
    return fs::absolute(folder / fs::path()).lexically_normal().parent_path().filename().string();
  };
  for (const std::string& folder : folders) {
    const std::string config = folder + "/config.ini", metrics = folder + "/metrics.jsonl";
    for (const std::string& file : {config, metrics})
      if (!fs::exists(file)) io::fail("{}: not found; --run needs the folder of a run", file);
    const bool unique = std::count_if(folders.begin(), folders.end(), [&](const std::string& other) {
                          return name(other) == name(folder);
                        }) == 1;
    runs.push_back({unique ? name(folder) : folder, read_options(config), read_metrics(metrics)});
  }
  return runs;
}

namespace {

int color_of(size_t run) { return int(run) + 1; }

std::string dot(size_t run) { return fmt::format("<i class='dot c{}'></i>", color_of(run)); }

const EpochRecord* best(const ComparedRun& run) {
  const EpochRecord* found = nullptr;
  for (const EpochRecord& e : run.metrics.epochs)
    if (std::isfinite(e.auc) && (!found || e.auc > found->auc)) found = &e;
  return found;
}

double training_seconds(const ComparedRun& run) {
  double sum = 0;
  for (const EpochRecord& e : run.metrics.epochs) sum += e.seconds;
  return sum;
}

std::string results(const std::vector<ComparedRun>& runs) {
  std::string s =
      "<div class='scroll'><table class='numbers'>\n<tr><th>run</th><th>best AUC</th><th>in "
      "epoch</th><th>of</th>"
      "<th>log loss there</th><th>masked tokens, last</th><th>pairs/s</th><th>training</th></tr>\n";
  for (size_t i = 0; i < runs.size(); i++) {
    const auto& epochs = runs[i].metrics.epochs;
    const EpochRecord* top = best(runs[i]);
    const double seconds = training_seconds(runs[i]);
    s += fmt::format(
        "<tr><th>{}{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></"
        "tr>\n",
        dot(i), escape_html(runs[i].name), number_or_dash(top ? top->auc : undefined, "{:.4f}"),
        top ? fmt::format("{}", top->epoch) : "–", epochs.size(),
        number_or_dash(top ? top->log_loss : undefined, "{:.4f}"),
        number_or_dash(epochs.empty() ? undefined : epochs.back().loss_mlm, "{:.4f}"),
        number_or_dash(epochs.empty() ? undefined : epochs.back().pairs_per_s, "{:.0f}"),
        std::isfinite(seconds) ? io::duration_text(seconds) : "–");
  }
  return s + "</table></div>\n";
}

// Chart of one epoch field, a curve per run.
std::string chart(const std::vector<ComparedRun>& runs, double EpochRecord::*field, const std::string& title,
                  const std::string& note, const std::string& unit, bool over_time = false) {
  LineChart chart;
  chart.description =
      title + (over_time ? " by time, a curve for each run" : " by epoch, a curve for each run");
  chart.x = over_time ? Axis{"minutes of training", 0} : Axis{"epoch", undefined, undefined, true};
  chart.y.label = unit;
  bool any = false;
  for (size_t i = 0; i < runs.size(); i++) {
    Series series{"", color_of(i), {}, {}, false, true};
    double seconds = 0;
    for (const EpochRecord& e : runs[i].metrics.epochs) {
      seconds += e.seconds;
      series.x.push_back(over_time ? seconds / 60 : e.epoch), series.y.push_back(e.*field);
      any |= std::isfinite(e.*field);
    }
    chart.series.push_back(series);
  }
  return any ? figure(title, note, line_chart(chart)) : "";
}

// Omits run.directory, which always differs.
std::string differing_options(const std::vector<ComparedRun>& runs) {
  std::string rows;
  for (const OptionInfo& option : option_list()) {
    if (option.name() == "run.directory") continue;
    std::vector<std::string> values;
    for (const ComparedRun& run : runs) values.push_back(option_value(run.options, option.name()));
    if (std::all_of(values.begin(), values.end(), [&](const std::string& v) { return v == values[0]; }))
      continue;
    rows += fmt::format("<tr><th>{}</th>", escape_html(option.name()));
    for (const std::string& value : values)
      rows += "<td>" + (value.empty() ? "–" : escape_html(value)) + "</td>";
    rows += "</tr>\n";
  }
  if (rows.empty()) return "<p>None: the runs have the same options.</p>\n";
  std::string head = "<tr><th></th>";
  for (size_t i = 0; i < runs.size(); i++) head += "<th>" + dot(i) + escape_html(runs[i].name) + "</th>";
  return "<div class='scroll'><table>\n" + head + "</tr>\n" + rows + "</table></div>\n";
}

}  // namespace

std::string comparison_html(const std::vector<ComparedRun>& runs) {
  using E = EpochRecord;
  const bool several = runs.size() > 1;
  const std::string title = several ? fmt::format("{} runs compared", runs.size()) : runs.at(0).name;
  const std::string curves =
      chart(runs, &E::auc, "Validation AUC", "By epoch.", "") +
      chart(runs, &E::auc, "Validation AUC", "By time: what an epoch costs is in it.", "", true) +
      chart(runs, &E::log_loss, "Log loss of the validation rows",
            "Where it rises, labels are learnt by heart.", "nats a pair") +
      chart(runs, &E::loss_cls, "Loss of the labels", "In training, dropout on.", "nats a target") +
      chart(runs, &E::loss_mlm, "Loss of the masked tokens", "In training, dropout on.", "nats a target");
  return page(title, "<header>\n<h1>" + escape_html(title) + "</h1>\n" + results(runs) + "</header>\n" +
                         section("Curves", charts(curves)) +
                         (several ? section("Options that differ", differing_options(runs)) : ""));
}

}  // namespace warpbert
