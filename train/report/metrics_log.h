// metrics.jsonl: one JSON object per line, "kind" first; docs/usage.md lists the fields. null and missing
// keys are undefined values.
#pragma once
#include <cstdio>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace warpbert {

inline constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

double unix_time();  // seconds since 1970

// Mean losses and speeds since the previous record. Steps without a target count in neither.
struct StepRecord {
  int epoch;  // from 1
  long step;  // from 1, over all epochs
  double loss, loss_mlm, loss_cls, lr, pairs_per_s, tokens_per_s;
  double grad_norm = undefined;  // of the last step; undefined if it had no target
  double skipped = 0;            // so far, by train.skip_outliers
  double tflops = undefined;     // 10¹² FLOP/s of matrix products
  double memory_mib = undefined, memory_peak_mib = undefined;  // device
  double time = undefined;                                     // unix_time()
  double steps = undefined;                                    // number that the record covers
};

struct EpochRecord {
  int epoch;  // from 1
  double loss, loss_mlm, loss_cls;
  double auc = undefined;                               // validation rows
  double pairs_per_s = undefined, seconds = undefined;  // training only
  // Validation rows, at threshold 0.5 and at that of highest F1.
  double log_loss = undefined, accuracy = undefined, f1 = undefined;
  double best_threshold = undefined, accuracy_at_best_f1 = undefined, best_f1 = undefined;
  double time = undefined;            // unix_time()
  double train_log_loss = undefined;  // of training_sample, by the same model
};

// A number of a record after epoch and step. Tables are in file order.
template <class Record>
struct Field {
  const char* key;  // JSON key and CSV column
  double Record::*value;
  const char* tag = nullptr;  // TensorBoard tag; nullptr: omitted
  bool optional = false;      // omitted if undefined; a CSV column if all are
};
std::span<const Field<StepRecord>> step_fields();
std::span<const Field<EpochRecord>> epoch_fields();

class MetricsLog {
 public:
  explicit MetricsLog(const std::string& path);  // appends
  MetricsLog(const MetricsLog&) = delete;
  ~MetricsLog();
  void write(const StepRecord& record);  // flushed to the operating system
  void write(const EpochRecord& record);
  void sync();  // fsync

 private:
  void line(const std::string& text);
  std::string path_;
  std::FILE* file_;
};

// Skips other kinds and an unfinished last line of a killed process. Throws io::Error naming file and line.
struct Metrics {
  std::vector<StepRecord> steps;
  std::vector<EpochRecord> epochs;
  double first_record = undefined;  // unix_time()
};
Metrics read_metrics(const std::string& path);

// Removes steps after `step`, epochs after `epoch` and an unfinished last line; atomic. The file may be
// missing.
void cut_metrics(const std::string& path, long step, int epoch);

}  // namespace warpbert
