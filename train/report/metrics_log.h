// metrics.jsonl: one JSON object per line, "kind" first. null and missing keys are undefined values.
// docs/usage.md lists the fields.
#pragma once
#include <cstdio>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace warpbert {

inline constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

double unix_time();  // seconds since 1970

// Steps since the previous record: mean losses (`loss` over all targets, the others over their own) and
// speeds. Steps without a target are skipped: they count in no mean and in no speed.
struct StepRecord {
  int epoch;  // from 1
  long step;  // from 1, over all epochs
  double loss, loss_mlm, loss_cls, lr, pairs_per_s, tokens_per_s;
  double grad_norm = undefined;  // global gradient norm of the last step; undefined if it had no target
  double skipped = 0;            // steps skipped so far by train.skip_outliers
  double tflops = undefined;     // 10¹² FLOP/s of the matrix products
  double memory_mib = undefined, memory_peak_mib = undefined;  // on the device: current and peak
  double time = undefined;                                     // unix_time() of the record
  double steps = undefined;  // number that the record covers; fewer at the end of an epoch
};

struct EpochRecord {
  int epoch;  // from 1
  double loss, loss_mlm, loss_cls;
  double auc = undefined;                               // of the validation rows
  double pairs_per_s = undefined, seconds = undefined;  // training only
  // Measures of the validation rows (evaluation.h), at 0.5 and at the threshold of highest F1.
  double log_loss = undefined, accuracy = undefined, f1 = undefined;
  double best_threshold = undefined, accuracy_at_best_f1 = undefined, best_f1 = undefined;
  double time = undefined;            // unix_time() of the record
  double train_log_loss = undefined;  // log_loss of training rows (training_sample), by the same model
};

// A number of a record after epoch and step. The tables below are in file order, for JSON, CSV and
// TensorBoard.
template <class Record>
struct Field {
  const char* key;  // in metrics.jsonl, and CSV column name
  double Record::*value;
  const char* tag = nullptr;  // TensorBoard tag; nullptr: omitted
  bool optional = false;      // where undefined, the key or the whole column is omitted
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
  void sync();  // what was written survives a power cut

 private:
  void line(const std::string& text);
  std::string path_;
  std::FILE* file_;
};

// Records of a file, in order. Reading skips lines of other kinds and an unfinished last line, which a killed
// process leaves. Any other unreadable line throws io::Error naming file and line.
struct Metrics {
  std::vector<StepRecord> steps;
  std::vector<EpochRecord> epochs;
  double first_record = undefined;  // unix_time()
};
Metrics read_metrics(const std::string& path);

// Removes steps after `step`, epochs after `epoch` and an unfinished last line, for resuming. Atomic; a
// missing file stays missing.
void cut_metrics(const std::string& path, long step, int epoch);

}  // namespace warpbert
