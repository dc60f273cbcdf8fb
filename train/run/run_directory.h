// Run directory: config.ini, metrics.jsonl, checkpoints/, best.npz, models/, scores.csv, run.json,
// report.html, lock. Optional: steps.csv, epochs.csv, events.out.tfevents.*; gemm.txt on a GPU.
#pragma once
#include <string>
#include <vector>

#include "train/config/options.h"

namespace warpbert {

// Returns train.shards of the run in run.directory; 0 without a run, or if options.train.shards is set.
int saved_shards(const Options& options);

// "train.lr = 1e-4 (there: 1e-3), …" of differences(); "" if there are none.
std::string differences_text(const Options& saved, const Options& wanted);

class RunDirectory {
 public:
  // Creates and locks the folder; the kernel unlocks it if the process is killed. Throws io::Error if another
  // process holds the lock or the folder is not writable. A folder that it made and that is still empty is
  // removed at the end: a refused start leaves nothing.
  explicit RunDirectory(const std::string& path);
  RunDirectory(const RunDirectory&) = delete;
  ~RunDirectory();

  // Returns whether a configuration is saved here. Throws UsageError naming the keys if it differs in more
  // than a resumed run may change.
  bool holds_run_of(const Options& options) const;
  void save_config(const Options& options) const;
  // Renews paths and other free options in config.ini of a finished run; it stays made by the same build.
  void renew_config(const Options& options) const;

  // Files written by runs, without the configuration; other names are ignored.
  std::vector<std::string> results() const;
  // Those that a run is started for: models, scores, report.
  std::vector<std::string> final_results() const;
  // Removes results().
  void start_over() const;

  // checkpoints/<step>.npz, newest first.
  std::vector<std::string> checkpoints() const;
  std::string checkpoint(long step) const;
  // Syncs models/ before a checkpoint, so that removed models stay removed after a power cut.
  void sync_models() const;
  // Records in `lock` that a complete checkpoint exists. had_checkpoints() is also true if metrics.jsonl is
  // missing.
  void note_checkpoint() const;
  bool had_checkpoints() const;
  void keep_checkpoints(int n) const;  // removes all but the newest n

  // models/epoch-<n>.npz
  std::string model(int epoch) const;

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

  // events.out.tfevents.<second>.warpbert; a new name each time, since TensorBoard keeps files open.
  std::string events(long second) const;
  void remove_events_but(const std::string& kept) const;

 private:
  std::vector<std::string> events() const;
  std::string path_;
  std::string made_;  // topmost folder that this object made; "": none
  int lock_ = -1;
};

}  // namespace warpbert
