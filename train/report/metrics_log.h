// metrics.jsonl: one JSON object a line, "kind" first; what is undefined is null, and what is missing too.
//
//   {"kind":"start","time":…}
//   {"kind":"step","epoch":1,"step":50,"loss":…,"loss_mlm":…,"loss_cls":…,"lr":…,"pairs_per_s":…,"tokens_per_s":…,
//    "grad_norm":…,"skipped":…,"tflops":…,"memory_mib":…,"memory_peak_mib":…,"time":…}
//   {"kind":"epoch","epoch":1,"loss":…,"loss_mlm":…,"loss_cls":…,"auc":…,"pairs_per_s":…,"seconds":…,"log_loss":…,
//    "accuracy":…,"f1":…,"best_threshold":…,"accuracy_at_best_f1":…,"best_f1":…,"time":…}
#pragma once
#include <cstdio>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace warpbert {

inline constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

double unix_time();  // seconds since 1970

// The steps since the record before: mean losses over their targets (loss over all, the two over their own), and rates.
struct StepRecord {
  int epoch;  // from 1
  long step;  // from 1, over all epochs
  double loss, loss_mlm, loss_cls, lr, pairs_per_s, tokens_per_s;
  double grad_norm = undefined;                                // of the whole gradient, at the last step
  double skipped = 0;                                          // steps left out so far, by train.skip_outliers
  double tflops = undefined;                                   // 10¹² operations a second of the matrix products
  double memory_mib = undefined, memory_peak_mib = undefined;  // on the device: in use now, and at most so far
  double time = undefined;                                     // unix_time() when it was made
};

struct EpochRecord {
  int epoch;  // from 1
  double loss, loss_mlm, loss_cls;
  double auc = undefined;                               // of the validation rows
  double pairs_per_s = undefined, seconds = undefined;  // of training alone
  // The validation rows again, by the measures of evaluation.h: at 0.5, and at the threshold of highest F1.
  double log_loss = undefined, accuracy = undefined, f1 = undefined;
  double best_threshold = undefined, accuracy_at_best_f1 = undefined, best_f1 = undefined;
  double time = undefined;  // unix_time() when it was made
};

// The numbers of a record behind epoch and step, in the order of the file: JSON, CSV and TensorBoard are read off this.
template <class Record>
struct Field {
  const char* key;  // in metrics.jsonl, and as the head of a column
  double Record::*value;
  const char* tag = nullptr;  // TensorBoard's name for it; nullptr: not shown there
};
std::span<const Field<StepRecord>> step_fields();
std::span<const Field<EpochRecord>> epoch_fields();

class MetricsLog {
 public:
  explicit MetricsLog(const std::string& path);  // appends
  MetricsLog(const MetricsLog&) = delete;
  ~MetricsLog();
  void write_start(double time);         // unix_time() of the run's first start
  void write(const StepRecord& record);  // with the operating system once it returns
  void write(const EpochRecord& record);

 private:
  void line(const std::string& text);
  std::string path_;
  std::FILE* file_;
};

// The records of a file, in order. Lines of another kind are passed over, and so is a last line without its end, which
// a killed process leaves; any other line that cannot be read is an io::Error naming file and line.
struct Metrics {
  std::vector<StepRecord> steps;
  std::vector<EpochRecord> epochs;
  double started = undefined;  // unix_time(); earlier versions did not write it
};
Metrics read_metrics(const std::string& path);

// What a run resumed from a checkpoint goes on from: the file without the steps after `step`, the epochs after `epoch`
// and an unfinished last line. Atomic; a missing file stays missing.
void cut_metrics(const std::string& path, long step, int epoch);

}  // namespace warpbert
