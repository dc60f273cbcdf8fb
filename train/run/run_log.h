// A run's metrics.jsonl, tables (run.csv) and TensorBoard scalars (run.tensorboard). The last two are rebuilt
// from metrics.jsonl, which resuming cuts back to the checkpoint, so that no step appears twice.
#pragma once
#include <memory>
#include <string>

#include "run_directory.h"
#include "train/report/metrics_log.h"
#include "train/report/tensorboard.h"

namespace warpbert {

class RunLog {
 public:
  RunLog(const RunDirectory& directory, const RunOptions& options);
  void write(const StepRecord& record);
  void write(const EpochRecord& record);
  // fsync of metrics.jsonl; call before writing a checkpoint.
  void sync() { metrics_.sync(); }
  // Every epoch rewrites steps.csv and epochs.csv.
  void write_tables() const;

 private:
  const RunDirectory& directory_;
  bool csv_;
  MetricsLog metrics_;
  std::unique_ptr<TensorBoardLog> tensorboard_;
};

// A header, then a line per record. Undefined fields are empty; others restore their value.
std::string steps_csv(const Metrics& metrics);
std::string epochs_csv(const Metrics& metrics);

}  // namespace warpbert
