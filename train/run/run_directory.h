// The folder of a run: config.ini, metrics.jsonl, checkpoints/, best.npz, models/, scores.csv, run.json, report.html, and
// where asked for steps.csv, epochs.csv and events.out.tfevents.*, on a GPU gemm.txt; and a lock while a process works in it.
#pragma once
#include <string>
#include <vector>

#include "train/config/options.h"

namespace warpbert {

class RunDirectory {
 public:
  // Creates the folder if need be and locks it. The lock is the kernel's: a killed process leaves none behind.
  // Throws io::Error when another process holds it or the folder cannot be written.
  explicit RunDirectory(const std::string& path);
  RunDirectory(const RunDirectory&) = delete;
  ~RunDirectory();

  // Whether a configuration was saved here before. Throws UsageError naming the keys when it differs from `options`
  // in anything but what may change.
  bool holds_run_of(const Options& options) const;
  void save_config(const Options& options) const;

  // What a run has written here beside its configuration; files of other names are not looked at.
  std::vector<std::string> results() const;
  // Removes that.
  void start_over() const;

  // checkpoints/<step>.npz, the newest first.
  std::vector<std::string> checkpoints() const;
  std::string checkpoint(long step) const;
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

  // events.out.tfevents.<second>.warpbert: a new name each time, since TensorBoard holds on to a file it has opened.
  std::string events(long second) const;
  void remove_events_but(const std::string& kept) const;

 private:
  std::vector<std::string> events() const;
  std::string path_;
  int lock_ = -1;
};

}  // namespace warpbert
