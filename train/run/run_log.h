// Where the records of a run go: metrics.jsonl always; as asked for, the same as tables (run.csv) and as scalars of
// TensorBoard (run.tensorboard). These two are made of metrics.jsonl, which a resumed run cuts back to its checkpoint,
// so that no step is in them twice.
#pragma once
#include <memory>
#include <string>

#include "run_directory.h"
#include "train/report/metrics_log.h"
#include "train/report/tensorboard.h"

namespace warpbert {

class RunLog {
 public:
  // Writes both anew from the metrics that are there.
  RunLog(const RunDirectory& directory, const RunOptions& options);
  void write_start(double time) { metrics_.write_start(time); }
  void write(const StepRecord& record);
  void write(const EpochRecord& record);
  // Brings steps.csv and epochs.csv up to date, as every epoch does.
  void write_tables() const;

 private:
  const RunDirectory& directory_;
  bool csv_;
  MetricsLog metrics_;
  std::unique_ptr<TensorBoardLog> tensorboard_;
};

// A line of names, then one a record; a field that is undefined is empty,
// all others have the digits that give them back.
std::string steps_csv(const Metrics& metrics);
std::string epochs_csv(const Metrics& metrics);

}  // namespace warpbert
