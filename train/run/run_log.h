// Log of a run: metrics.jsonl; tables with run.csv; TensorBoard scalars with run.tensorboard. The last two
// are rebuilt from metrics.jsonl, which a resumed run cuts back to its checkpoint, so that no step appears
// twice.
#pragma once
#include <memory>
#include <string>

#include "run_directory.h"
#include "train/report/metrics_log.h"
#include "train/report/tensorboard.h"

namespace warpbert {

class RunLog {
 public:
  // Rewrites tables and scalars from the existing metrics.
  RunLog(const RunDirectory& directory, const RunOptions& options);
  void write(const StepRecord& record);
  void write(const EpochRecord& record);
  // Syncs metrics.jsonl. Call before writing a checkpoint, which relies on earlier records.
  void sync() { metrics_.sync(); }
  // Rewrites steps.csv and epochs.csv; every epoch does so.
  void write_tables() const;

 private:
  const RunDirectory& directory_;
  bool csv_;
  MetricsLog metrics_;
  std::unique_ptr<TensorBoardLog> tensorboard_;
};

// A header, then a line per record. Undefined fields are empty; others have enough digits to restore them.
std::string steps_csv(const Metrics& metrics);
std::string epochs_csv(const Metrics& metrics);

}  // namespace warpbert
