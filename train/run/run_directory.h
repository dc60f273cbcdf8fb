// Run directory: config.ini, metrics.jsonl, checkpoints/, best.npz, models/, scores.csv, run.json,
// report.html, lock. Optional: steps.csv, epochs.csv, events.out.tfevents.*; gemm.txt on a GPU.
#pragma once
#include <string>
#include <vector>

#include "train/config/options.h"

namespace warpbert {

// train.shards of the run in run.directory; 0 without a run, or if options.train.shards is set.
int saved_shards(const Options& options);

// "train.lr = 1e-4 (there: 1e-3), …"; "" if equal.
std::string differences_text(const Options& saved, const Options& wanted);

class RunDirectory {
 public:
  // Creates and locks the folder; the lock ends with the process. Throws io::Error if another process holds
  // it or the folder is not writable. The destructor removes a new folder that is still empty.
  explicit RunDirectory(const std::string& path);
  RunDirectory(const RunDirectory&) = delete;
  ~RunDirectory();

  // False without a saved configuration. Throws UsageError naming keys whose change prevents resuming.
  bool holds_run_of(const Options& options) const;
  void save_config(const Options& options) const;
  // Renews paths and other free options in a finished run's config.ini; keeps the build that made it.
  void renew_config(const Options& options) const;

  // Files written by runs, except config.ini.
  std::vector<std::string> results() const;
  // Models, scores, report.
  std::vector<std::string> final_results() const;
  void start_over() const;  // removes results()

  // checkpoints/<step>.npz, newest first.
  std::vector<std::string> checkpoints() const;
  std::string checkpoint(long step) const;
  // fsync: models removed before a checkpoint stay removed after a power cut.
  void sync_models() const;
  // Records a complete checkpoint in `lock`. had_checkpoints() is also true if metrics.jsonl is missing.
  void note_checkpoint() const;
  bool had_checkpoints() const;
  void keep_checkpoints(int n) const;  // removes all but the newest n

  std::string model(int epoch) const;  // models/epoch-<n>.npz

  const std::string& path() const { return path_; }
  std::string config() const { return path_ + "/config.ini"; }
  std::string gemm() const { return path_ + "/gemm.txt"; }
  std::string metrics() const { return path_ + "/metrics.jsonl"; }
  std::string best() const { return path_ + "/best.npz"; }
  std::string scores() const { return path_ + "/scores.csv"; }
  std::string report() const { return path_ + "/report.html"; }
  std::string run_json() const { return path_ + "/run.json"; }
  std::string steps_csv() const { return path_ + "/steps.csv"; }
  std::string epochs_csv() const { return path_ + "/epochs.csv"; }

  // events.out.tfevents.<second>.warpbert; a new file, as TensorBoard keeps the old one open.
  std::string events(long second) const;
  void remove_events_but(const std::string& kept) const;

 private:
  std::vector<std::string> events() const;
  std::string path_;
  std::string made_;  // topmost new folder; "": none
  int lock_ = -1;
};

}  // namespace warpbert
