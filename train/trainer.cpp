#include "trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "io/error.h"
#include "io/tsv.h"
#include "loader.h"
#include "metrics.h"
#include "metrics_log.h"
#include "model_file.h"
#include "progress.h"
#include "report.h"
#include "run_directory.h"
#include "scoring.h"
#include "session.h"

namespace warpbert {
namespace {

class Trainer {
 public:
  // Without a directory nothing is written (dry run).
  Trainer(Session& session, const RunDirectory* directory)
      : options_(session.options()),
        directory_(directory),
        session_(session),
        device_(session.device()),
        bert_(session.bert()),
        stepper_(device_, bert_, options_.train.precision, uint64_t(options_.train.seed), adam_options(options_.train),
                 options_.loss.scale == LossScale::keras_fill) {}

  void dry_run();
  void run();

 private:
  Masking masking() const {
    return Masking(options_.mask, session_.vocabulary().size(), uint64_t(options_.train.seed));
  }
  std::vector<float> score(const std::vector<Example>& examples) {
    return score_pairs(stepper_, session_.tokens(), examples, options_.predict);
  }

  EpochRecord train_epoch(Loader& loader, int epoch);
  std::optional<double> validate();
  bool keep_if_better(std::optional<double> score, int epoch);
  void restore_best();
  void finish();
  std::vector<Fact> facts() const;

  const Options& options_;
  const RunDirectory* directory_;
  Session& session_;
  Device& device_;
  Bert& bert_;
  Stepper stepper_;
  std::unique_ptr<MetricsLog> log_;
  std::unique_ptr<Progress> progress_;
  long steps_ = 0;
  std::vector<float> validation_scores_;
  RunRecord report_;

  // What the run's time was spent on. book() adds the time since the last booking.
  struct {
    double training = 0, waiting = 0, scoring = 0, saving = 0;
  } spent_;
  std::chrono::steady_clock::time_point booked_;
  void book(double& account) {
    const auto now = std::chrono::steady_clock::now();
    account += std::chrono::duration<double>(now - std::exchange(booked_, now)).count();
  }
};

std::vector<Fact> Trainer::facts() const {
  const DataFacts& f = session_.facts();
  const BertConfig& c = bert_.config;
  return {{"Training file", options_.data.train},
          {"Pairs", fmt::format("{}, {} of them labelled, {} for validation", f.rows, f.labelled,
                                session_.set().validation.size())},
          {"Length",
           fmt::format("mean {:.1f} tokens, half ≤ {}, 99 % ≤ {}, longest {}", f.mean_length, f.p50, f.p99, f.longest)},
          {"Vocabulary", fmt::format("{} of {} ids, {:.2f} % of tokens unknown", session_.vocabulary().size(),
                                     f.distinct, 100 * f.unknown_share)},
          {"Model", fmt::format("{} layers, hidden {}, {} heads, {:.1f} M parameters", c.layers, c.hidden, c.heads,
                                double(bert_.store.real_size()) * 1e-6)},
          {"Memory on the device", fmt::format("{:.0f} MiB", double(device_.bytes_high_water()) / 1048576)}};
}

// ---- One run --------------------------------------------------------------------------------------------------------

void Trainer::dry_run() {
  Loader loader(session_.tokens(), session_.set().training, masking(), options_.train.batch);
  stepper_.train(loader.next(), options_.train.lr);
  const LossSums sums = stepper_.take_losses();
  const auto begin = std::chrono::steady_clock::now();  // the first step allocated memory and chose algorithms
  stepper_.train(loader.next(), options_.train.lr);
  stepper_.take_losses();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const int steps = loader.batches_per_epoch();
  fmt::print(
      "step      loss {:.4f} (masked tokens {:.4f}, [CLS] {:.4f}); the second took {:.3g} s, so an epoch of {} "
      "steps takes some {}\n",
      sums.loss(), sums.loss_mlm(), sums.loss_cls(), seconds, steps, duration_text(seconds * steps));
  stepper_.arena().reset();
  fmt::print("memory    {:.1f} MiB on the device at most; of this a step's\n{}",
             double(device_.bytes_high_water()) / 1048576, stepper_.arena().report());
}

// Trains an epoch; what it returns lacks the AUC.
EpochRecord Trainer::train_epoch(Loader& loader, int epoch) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
  };
  const int steps = loader.batches_per_epoch();
  const auto begin = Clock::now();
  auto line_begin = begin;
  LossSums all, line;
  long pairs = 0, line_pairs = 0, line_tokens = 0;
  for (int step = 1; step <= steps; step++) {
    book(spent_.training);
    const Batch batch = loader.next();
    book(spent_.waiting);
    stepper_.train(batch, options_.train.lr);
    steps_++, pairs += batch.sequences, line_pairs += batch.sequences, line_tokens += batch.tokens;
    progress_->step(epoch, step);
    if (step % options_.run.log_every && step != steps) continue;
    line = stepper_.take_losses();  // waits for the device
    if (!stepper_.all_finite())
      throw std::runtime_error(
          fmt::format("the loss is not finite at or before step {} (epoch {}, step {}); what was saved stays; a lower "
                      "train.lr or train.precision = fp32 may help",
                      steps_, epoch, step));
    const double seconds = seconds_since(line_begin);
    const StepRecord record{epoch,
                            steps_,
                            line.loss(),
                            line.loss_mlm(),
                            line.loss_cls(),
                            options_.train.lr,
                            line_pairs / seconds,
                            line_tokens / seconds};
    log_->write(record);
    report_.steps.push_back(record);
    progress_->show(record, step);
    all += line;
    line_begin = Clock::now(), line_pairs = line_tokens = 0;
  }
  const double seconds = seconds_since(begin);
  return {epoch, all.loss(), all.loss_mlm(), all.loss_cls(), undefined, pairs / seconds, seconds};
}

// The AUC over the validation rows, if there are any with both labels; keeps the scores for the report.
std::optional<double> Trainer::validate() {
  const auto& rows = session_.set().validation;
  if (rows.empty()) return std::nullopt;
  validation_scores_ = score(rows);
  std::vector<float> labels;
  for (const Example& row : rows) labels.push_back(row.label);
  return auc(validation_scores_, labels);
}

// Keeps the model if it is strictly better than the best so far, or if nothing can tell.
bool Trainer::keep_if_better(std::optional<double> score, int epoch) {
  if (score && report_.best_epoch && *score <= report_.best_auc) return false;
  save_model(directory_->best(), bert_, session_.vocabulary());
  report_.best_epoch = epoch, report_.best_auc = score.value_or(undefined);
  report_.scores = validation_scores_;
  return true;
}

void Trainer::run() {
  Loader loader(session_.tokens(), session_.set().training, masking(), options_.train.batch);
  log_ = std::make_unique<MetricsLog>(directory_->metrics());
  progress_ = std::make_unique<Progress>(options_.train.epochs, loader.batches_per_epoch());
  if (!options_.train.epochs) save_model(directory_->best(), bert_, session_.vocabulary());
  const auto begin = booked_ = std::chrono::steady_clock::now();
  for (int epoch = 1; epoch <= options_.train.epochs; epoch++) {
    EpochRecord record = train_epoch(loader, epoch);
    const bool last = epoch == options_.train.epochs;
    bool best = false;
    if (last || epoch % options_.run.evaluate_every == 0) {
      book(spent_.training);
      const auto score = validate();
      book(spent_.scoring);
      record.auc = score.value_or(undefined);
      best = keep_if_better(score, epoch);
      book(spent_.saving);
    }
    report_.epochs.push_back(record);
    report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    progress_->epoch(record, best, report_.seconds / epoch * (options_.train.epochs - epoch));
    if (last) finish();
    log_->write(record);  // last: a run whose final epoch is in the log is complete
  }
  if (!options_.train.epochs) finish();
}

void Trainer::restore_best() {
  std::vector<int> rows(size_t(session_.vocabulary().size()));
  std::iota(rows.begin(), rows.end(), 0);
  Pretrained(directory_->best()).load(bert_, rows, true);
}

// Scores of the test file by the best model, and the report.
void Trainer::finish() {
  if (!session_.set().test.empty()) {
    if (report_.best_epoch && report_.best_epoch != options_.train.epochs) restore_best();
    write_scores(directory_->scores(), score(session_.set().test));
    book(spent_.scoring);
  }
  for (const Example& row : session_.set().validation) report_.labels.push_back(row.label);
  report_.name = std::filesystem::absolute(directory_->path()).filename();
  report_.lengths = session_.facts().lengths;
  report_.facts = facts();
  report_.machine = machine_facts(device_.name() + ", " + precision_text(options_.train.precision));
  report_.time_split = {{"training", spent_.training},
                        {"waiting for batches", spent_.waiting},
                        {"scoring", spent_.scoring},
                        {"saving the model", spent_.saving}};
  report_.config = config_text(options_);
  write_report(directory_->report(), report_);
  if (report_.best_epoch) fmt::print("best      AUC {:.4f} in epoch {}\n", report_.best_auc, report_.best_epoch);
  fmt::print("written   {}\n", directory_->path());
}
}  // namespace

int train(const Options& given, bool dry_run) {
  Session session(given);
  const Options& options = session.options();
  if (dry_run) {
    session.load();
    Trainer(session, nullptr).dry_run();
    return 0;
  }
  RunDirectory directory(options.run.directory);
  if (directory.holds_run_of(options)) {
    if (directory.finished_epochs() >= options.train.epochs && std::filesystem::exists(directory.best())) {
      fmt::print("{}: this run is finished ({} epochs); more train.epochs would need a new run.directory\n",
                 directory.path(), options.train.epochs);
      return 0;
    }
    fmt::print("{}: no complete checkpoint; starting over\n", directory.path());
  }
  session.load();
  Trainer trainer(session, &directory);
  directory.start_over();
  directory.save_config(options);
  trainer.run();
  return 0;
}

}  // namespace warpbert
