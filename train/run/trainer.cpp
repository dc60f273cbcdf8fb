#include "trainer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <system_error>
#include <utility>

#include "completion.h"
#include "engine/ranges.h"
#include "io/text.h"
#include "run_record.h"
#include "schedule.h"
#include "train/score/evaluation.h"
#include "train/score/metrics.h"
#include "train/weights/model_file.h"

namespace warpbert {

// ---- Steps ------------------------------------------------------------------------------------------------

// Returns false if a stop was requested.
bool Trainer::train_epoch(Loader& loader) {
  const int steps = loader.steps_per_epoch(), passes = options_.train.fgm > 0 ? 2 : 1;
  line_begin_ = Clock::now(), line_pairs_ = line_tokens_ = 0, line_flops_ = 0;
  while (state_.step_in_epoch < steps) {
    const std::vector<Batch> micro_batches = loader.next_step();
    book(state_.spent.waiting);
    profile_.before(state_.step + 1);
    lr_ = learning_rate(options_.train, state_.step + 1, long(steps) * options_.train.epochs);
    steps_.train.take(micro_batches, lr_);
    if (gemm_files_) gemm_files_->save();
    if (const std::string kernels = profile_.after(state_.step + 1); !kernels.empty()) {
      progress_->clear();
      fmt::print("{}", kernels);
    }
    const int step = ++state_.step_in_epoch;
    state_.step++;
    const StepTotals& totals = micro_batches[0].totals;
    learned_ = totals.targets > 0;
    if (learned_) {  // else nothing was computed
      state_.epoch_pairs += totals.sequences;
      line_pairs_ += totals.sequences, line_tokens_ += totals.tokens;
      for (const Batch& batch : micro_batches)  // other processes have equal work
        line_flops_ += group_.size() * passes * step_flops(batch, bert_.config);
    }
    progress_->step(state_.epoch, step);
    // A signal to one process stops all; the clock of rank 0 decides. All have then enqueued this step, so
    // that no device blocks.
    const uint32_t wants =
        group_.any(uint32_t(interruption_->requested()) | 2 * uint32_t(checkpoint_is_due()));
    if (step % options_.run.log_every == 0 || step == steps) log_steps(step);
    state_.epoch_seconds += book(state_.spent.training);
    if (wants & 1) return false;
    if (wants & 2 && step != steps) save();
  }
  return true;
}

// Called before anything is written, so that saved files stay good.
void Trainer::check_finite() {
  if (!steps_.train.all_finite())
    throw std::runtime_error(fmt::format(
        "the loss or its gradient is not finite at or before step {} (epoch {}, step {}); what was saved "
        "stays; a lower train.lr or train.precision = fp32 may help",
        state_.step, state_.epoch, state_.step_in_epoch));
}

// Synchronizes.
void Trainer::log_steps(int step) {
  const Range range("fetch losses", Category::io, state_.step);
  check_finite();
  const LossSums sums = steps_.train.take_losses();
  const double seconds = io::seconds_since(line_begin_);
  StepRecord record{state_.epoch,    state_.step, sums.loss(), sums.loss_mlm(),
                    sums.loss_cls(), lr_,         undefined,   undefined};
  if (line_pairs_) {
    record.pairs_per_s = line_pairs_ / seconds, record.tokens_per_s = line_tokens_ / seconds;
    record.tflops = line_flops_ / seconds * 1e-12;
  }
  if (learned_) record.grad_norm = steps_.train.grad_norm();
  record.skipped = steps_.train.adam().skipped();
  record.memory_mib = io::mib(device_.bytes_allocated()),
  record.memory_peak_mib = io::mib(device_.bytes_high_water());
  record.time = unix_time();
  record.steps = (step - 1) % options_.run.log_every + 1;
  if (log_) log_->write(record);
  progress_->show(record, step);
  state_.epoch_sums += sums;
  line_begin_ = Clock::now(), line_pairs_ = line_tokens_ = 0, line_flops_ = 0;
}

// ---- Epochs -----------------------------------------------------------------------------------------------

void Trainer::finish_epoch() {
  const LossSums& sums = state_.epoch_sums;
  EpochRecord record{state_.epoch, sums.loss(), sums.loss_mlm(),     sums.loss_cls(),
                     undefined,    undefined,   state_.epoch_seconds};
  if (state_.epoch_pairs) record.pairs_per_s = double(state_.epoch_pairs) / state_.epoch_seconds;
  if (state_.epoch == options_.train.epochs || state_.epoch % options_.run.evaluate_every == 0)
    evaluate(record);
  record.time = unix_time();
  if (log_) log_->write(record);
  const bool best = !state_.best.empty() && state_.best.front().second == state_.epoch;
  progress_->epoch(record, best, state_.seconds / state_.epoch * (options_.train.epochs - state_.epoch));
  const int evaluations_since =
      (state_.epoch - (state_.best.empty() ? 0 : state_.best.front().second)) / options_.run.evaluate_every;
  state_.stopped_early = options_.train.patience && evaluations_since >= options_.train.patience;
  state_.epoch++, state_.step_in_epoch = 0;
  state_.epoch_sums = {}, state_.epoch_pairs = 0, state_.epoch_seconds = 0;
}

static std::vector<float> labels_of(const std::vector<Example>& rows) {
  std::vector<float> labels;
  for (const Example& row : rows) labels.push_back(row.label);
  return labels;
}

void Trainer::evaluate(EpochRecord& record) {
  const Range range("evaluate", Category::evaluation, state_.epoch);
  const auto& rows = session_.data().set.validation;
  Measures measures;
  std::vector<float> scores;
  const bool ema = options_.train.ema > 0;
  steps_.train.gather();
  if (ema) bert_.store.swap_ema();
  if (!rows.empty() && options_.train.stage != Stage::pretrain) {
    scores = score(rows);
    const std::vector<float> labels = labels_of(rows);
    measures = measure(scores, labels);
    record.auc = measures.auc.value_or(undefined), record.log_loss = measures.log_loss;
    record.accuracy = measures.accuracy, record.f1 = measures.f1;
    record.best_threshold = measures.best_threshold;
    record.accuracy_at_best_f1 = measures.accuracy_at_best_f1, record.best_f1 = measures.best_f1;
    const auto sample = training_sample(session_);
    record.train_log_loss = log_loss(score(sample), labels_of(sample));
  }
  book(state_.spent.scoring);
  keep_if_among_best(measures.auc);
  if (state_.best.front().second == state_.epoch) state_.best_scores = std::move(scores);
  if (ema) bert_.store.swap_ema();
  book(state_.spent.saving);
}

// best.npz changes only for a strictly better model. Without an AUC, the newest count as best.
void Trainer::keep_if_among_best(std::optional<double> score) {
  auto& best = state_.best;
  const auto worse = [&](const auto& kept) { return *score > kept.first; };
  const auto place = score ? std::find_if(best.begin(), best.end(), worse) : best.begin();
  const bool first = place == best.begin();
  const auto keep = size_t(options_.run.keep_best);
  if (size_t(place - best.begin()) >= keep) return;
  best.insert(place, {score.value_or(undefined), state_.epoch});
  if (first && directory_) save_model(directory_->best(), bert_, session_.data().vocabulary);
  if (keep > 1 && directory_) save_model(directory_->model(state_.epoch), bert_, session_.data().vocabulary);
  if (best.size() <= keep) return;
  std::error_code ignored;
  if (keep > 1 && directory_) std::filesystem::remove(directory_->model(best.back().second), ignored);
  best.pop_back();
}

// ---- Checkpoints ------------------------------------------------------------------------------------------

// False unless rank 0.
bool Trainer::checkpoint_is_due() const {
  if (!directory_) return false;
  const double minutes = options_.run.checkpoint_minutes;
  const int steps = options_.run.checkpoint_steps;
  return (minutes > 0 && io::seconds_since(saved_at_) >= 60 * minutes) || (steps && state_.step % steps == 0);
}

void Trainer::save() {
  if (state_.step == saved_step_ && state_.step_in_epoch) return;
  const Range range("checkpoint", Category::io, state_.step);
  check_finite();
  steps_.train.gather();
  state_.train_step = steps_.train.state();
  state_.data_hash = session_.data().data_hash, state_.start_hash = session_.data().start_hash;
  if (directory_) write_checkpoint();
  saved_step_ = state_.step, saved_at_ = Clock::now();
  book(state_.spent.saving);
}

void Trainer::write_checkpoint() {
  if (gemm_files_) gemm_files_->save();  // resuming needs the same algorithms
  log_->sync();
  directory_->sync_models();
  save_checkpoint(directory_->checkpoint(state_.step), session_, state_);
  directory_->note_checkpoint();
  directory_->keep_checkpoints(options_.run.keep_checkpoints);
}

std::string Trainer::load_newest() {
  const std::vector<std::string> files = directory_->checkpoints();
  for (const std::string& file : files) {
    try {
      state_ = load_checkpoint(file, session_);
    } catch (const DataChanged&) {
      throw;
    } catch (const io::Error& error) {
      if (file == files.back())
        io::fail("{}; no other checkpoint is left; to start over, remove {}", error.what(),
                 directory_->path());
      io::warn("{}; trying the one before", error.what());
      continue;
    }
    // Damaged files would be the newest again.
    for (auto damaged = files.begin(); *damaged != file; damaged++) {
      std::error_code ignored;
      std::filesystem::rename(*damaged, *damaged + ".damaged", ignored);
    }
    return file;
  }
  return "";
}

void Trainer::resume(const std::string& checkpoint) {
  if (directory_) cut_metrics(directory_->metrics(), state_.step, state_.epoch - 1);
  else state_ = load_checkpoint(checkpoint, session_);
  steps_.train.restore(state_.train_step);
  saved_step_ = state_.step;
}

// ---- The run ----------------------------------------------------------------------------------------------

int Trainer::run() {
  const int epochs = options_.train.epochs;
  if (directory_) log_ = std::make_unique<RunLog>(*directory_, options_.run);
  if (directory_ && Device::is_gpu() && options_.run.gemm_tuning) {
    const std::string& cache = options_.run.gemm_cache;
    gemm_files_.emplace(device_.algorithm_cache(), gemm_environment(device_), directory_->gemm(),
                        cache.empty() ? default_gemm_cache() : cache);
  }
  if (!epochs && directory_) save_model(directory_->best(), bert_, session_.data().vocabulary);
  if (state_.epoch <= epochs && !state_.stopped_early) {
    Loader loader = make_loader(session_, state_.epoch, state_.step_in_epoch);
    progress_ = std::make_unique<Progress>(epochs, loader.steps_per_epoch());
    booked_ = saved_at_ = Clock::now();
    while (state_.epoch <= epochs && !state_.stopped_early) {
      if (!train_epoch(loader)) {
        stop(fmt::format("after step {} of epoch {}", state_.step_in_epoch, state_.epoch));
        return 130;
      }
      finish_epoch();
      if (group_.any(checkpoint_is_due())) save();
    }
    if (state_.stopped_early)
      fmt::print("stopped   early: no better AUC in {} evaluations\n", options_.train.patience);
    fmt::print("{}", profile_.end());
  }
  if (is_interrupted()) {
    stop("before the results were written");
    return 130;
  }
  save();
  interruption_.reset();  // finish() can be repeated
  finish();
  return 0;
}

void Trainer::stop(const std::string& where) {
  save();
  if (log_) log_->write_tables();
  if (progress_) progress_->clear();
  fmt::print("stopped   {}; the same command resumes it\n", where);
}

static void warn_of_divergence(const RunRecord& record, const Bert& bert, double lr) {
  const double guessing = std::log(bert.config.vocabulary),
               loss = record.epochs.empty() ? 0 : record.epochs.back().loss;
  const auto [low, high] = std::minmax_element(record.scores.begin(), record.scores.end());
  std::string found;
  if (loss > 1.5 * guessing)  // random weights begin at some 1.01
    found =
        fmt::format("the loss of the last epoch, {:.4g}, is above {:.4g}, that of guessing", loss, guessing);
  if (record.scores.size() > 1 && *low == *high)
    found += fmt::format("{}all validation scores are alike", found.empty() ? "" : "; ");
  if (!found.empty()) io::warn("{}; the training seems to have diverged; try a train.lr below {}", found, lr);
}

// The report is last: it marks the run as complete.
void Trainer::finish() {
  const int best_epoch = state_.best.empty() ? 0 : state_.best.front().second;
  const bool loaded = holds_best(state_, options_);
  steps_.train.gather();
  if (loaded && directory_ && !std::filesystem::exists(directory_->best()))  // removed since
    save_model(directory_->best(), bert_, session_.data().vocabulary);
  if (!session_.data().set.test.empty() && options_.train.stage != Stage::pretrain) {
    const std::string best = group_.broadcast(directory_ ? directory_->best() : "");
    if (!loaded) Pretrained(best).load(bert_);
    const std::vector<float> scores = score(session_.data().set.test);
    if (directory_) write_scores(directory_->scores(), scores);
    if (gemm_files_) gemm_files_->save();  // predict uses them to repeat the scores
    book(state_.spent.scoring);
  }
  const std::vector<std::string> waited = group_.gather(fmt::format("{:.1f}", group_.waited()));
  if (!directory_) return;
  if (waited.size() > 1)
    fmt::print("waited    {} s for other processes, by rank, of {:.1f} s\n", fmt::join(waited, ", "),
               state_.seconds);
  RunRecord record = run_record(session_, *directory_, state_,
                                {{"training", state_.spent.training},
                                 {"waiting for batches", state_.spent.waiting},
                                 {"scoring", state_.spent.scoring},
                                 {"saving", state_.spent.saving}});
  record.ended = unix_time();
  write_report(directory_->report(), directory_->run_json(), record);
  if (best_epoch && std::isfinite(record.best_auc))
    fmt::print("best      AUC {:.4f} in epoch {}\n", record.best_auc, best_epoch);
  else if (best_epoch)
    fmt::print("kept      epoch {}, the last evaluated: there is no AUC to choose by\n", best_epoch);
  if (std::isfinite(record.threshold))
    fmt::print("threshold {:.4f}, of the highest F1 of the validation rows\n", record.threshold);
  fmt::print("ended     {}, after {}\n", io::date_text(record.ended), io::duration_text(state_.seconds));
  fmt::print("written   {}\n", io::printable(directory_->path()));
  std::fflush(stdout);
  warn_of_divergence(record, bert_, options_.train.lr);
}

}  // namespace warpbert
