// A run's loop over epochs, and all that is written to disk.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint.h"
#include "engine/process_group.h"
#include "interruption.h"
#include "io/atomic_file.h"
#include "io/error.h"
#include "io/format.h"
#include "profile_window.h"
#include "progress.h"
#include "run_directory.h"
#include "run_log.h"
#include "train/data/loader.h"
#include "train/report/metrics_log.h"
#include "train/score/scoring.h"
#include "train/step/gemm_files.h"
#include "train/step/session.h"
#include "train/step/training.h"

namespace warpbert {

class Trainer {
  using Clock = std::chrono::steady_clock;

 public:
  // directory: null unless rank 0, which alone writes.
  Trainer(Session& session, const RunDirectory* directory)
      : options_(session.options()),
        directory_(directory),
        session_(session),
        device_(session.device()),
        bert_(session.bert()),
        steps_(make_steps(session)),
        profile_(options_, steps_.resources.graphs) {}

  // Keeps the log of a killed run complete. A closed pipe stops the run later.
  void flush_log() const try { io::flush_standard_output(); } catch (const io::Error&) {
    if (!interruption_->requested()) throw;
  }
  // Returns the newest readable checkpoint's path; "" if there is none.
  std::string load_newest();
  void resume(const std::string& checkpoint);  // in every process
  int run();                                   // returns the exit code

 private:
  std::vector<float> score(const std::vector<Example>& examples) {
    const auto log_p = log_probabilities(steps_.score, session_.data().tokens, examples, options_.predict);
    return scores(log_p, options_.predict.score);
  }
  bool train_epoch(Loader& loader);
  void log_steps(int step);
  void check_finite();
  bool is_interrupted() { return group_.any(interruption_->requested()); }
  void finish_epoch();
  void evaluate(EpochRecord& record);
  void keep_if_among_best(std::optional<double> score);
  bool checkpoint_is_due() const;
  void write_checkpoint();
  void save();
  void stop(const std::string& where);
  void finish();

  const Options& options_;
  const RunDirectory* directory_;
  Session& session_;
  ProcessGroup& group_ = ProcessGroup::world();
  Device& device_;
  Bert& bert_;
  ModelSteps steps_;
  ProfileWindow profile_;
  std::optional<Interruption> interruption_{std::in_place};  // until saved
  std::unique_ptr<RunLog> log_;                              // null where directory_ is
  std::unique_ptr<Progress> progress_;
  std::optional<GemmFiles> gemm_files_;  // on a GPU, with run.gemm_tuning

  RunState state_;
  double lr_ = 0;         // of the last step
  bool learned_ = false;  // the last step had a target
  long saved_step_ = -1;  // of the last checkpoint
  Clock::time_point saved_at_ = Clock::now(), line_begin_;
  long line_pairs_ = 0, line_tokens_ = 0;
  double line_flops_ = 0;

  // Adds seconds since the last call.
  Clock::time_point booked_ = Clock::now();
  double book(double& account) {
    const double seconds = io::seconds_since(booked_);
    booked_ = Clock::now();
    account += seconds, state_.seconds += seconds;
    return seconds;
  }
};

}  // namespace warpbert
