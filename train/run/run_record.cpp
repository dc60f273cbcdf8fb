#include "run_record.h"

#include <fmt/format.h>

#include <filesystem>
#include <tuple>

#include "io/format.h"
#include "io/tsv.h"
#include "progress.h"
#include "train/score/metrics.h"

namespace warpbert {
namespace {

std::vector<Fact> facts(Session& session) {
  const Options& options = session.options();
  const DatasetStatistics& f = session.data().statistics;
  const Bert& bert = session.bert();
  const BertConfig& c = bert.config;
  return {{"Training file", options.data.train},
          {"Pairs", fmt::format("{}: {} labelled to train on, {} to validate on, {} of the test file", f.rows,
                                count_labelled(session.data().set.training),
                                session.data().set.validation.size(), session.data().set.test.size())},
          {"Length", fmt::format("mean {:.1f} tokens, half ≤ {}, 99 % ≤ {}, longest {}", f.mean_length, f.p50,
                                 f.p99, f.longest)},
          {"Vocabulary",
           fmt::format("{} of {} {}, {:.2f} % of tokens unknown", f.distinct - f.dropped, f.distinct,
                       session.data().vocabulary.text() ? "words" : "ids", 100 * f.unknown_share)},
          {"Model", fmt::format("{} layers, hidden {}, {} heads, {:.1f} M parameters", c.layers, c.hidden,
                                c.heads, double(bert.store.real_size()) * 1e-6)},
          {"Memory on the device", fmt::format("{:.0f} MiB", io::mib(session.device().bytes_high_water()))}};
}

ClassCounts count_classes(const char* name, const std::vector<Example>& rows) {
  ClassCounts counts{name};
  for (const Example& row : rows)
    if (row.label != io::no_label) (is_match(row) ? counts.match : counts.no_match)++;
  return counts;
}

}  // namespace

RunRecord run_record(Session& session, const RunDirectory& directory, const RunState& state,
                     std::vector<std::pair<std::string, double>> time_split) {
  const Options& options = session.options();
  RunRecord record;
  Metrics metrics = read_metrics(directory.metrics());
  record.name = std::filesystem::absolute(directory.path()).filename();
  record.first_record = metrics.first_record;
  record.steps = std::move(metrics.steps), record.epochs = std::move(metrics.epochs);
  if (!state.best.empty()) std::tie(record.best_auc, record.best_epoch) = state.best.front();
  record.seconds = state.seconds;
  record.scores = state.best_scores;
  for (const Example& row : session.data().set.validation) record.labels.push_back(row.label);
  if (!record.scores.empty())
    if (const Measures m = measure(record.scores, record.labels); m.auc) record.threshold = m.best_threshold;
  record.classes = {count_classes("training", session.data().set.training),
                    count_classes("validation", session.data().set.validation)};
  record.data_hash = hash_text(state.start_hash),
  record.weights_hash = hash_text(session.data().weights_hash);
  record.lengths = session.data().statistics.lengths;
  record.time_split = std::move(time_split);
  record.facts = facts(session);
  record.machine = environment(session.device().name() + ", " + precision_text(options.train.precision));
  record.config = config_text(options);
  return record;
}

}  // namespace warpbert
