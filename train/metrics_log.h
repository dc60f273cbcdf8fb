// metrics.jsonl: one JSON object a line, "kind" first; what is undefined is null.
//
//   {"kind":"step","epoch":1,"step":50,"loss":…,"loss_mlm":…,"loss_cls":…,"lr":…,"pairs_per_s":…,"tokens_per_s":…}
//   {"kind":"epoch","epoch":1,"loss":…,"loss_mlm":…,"loss_cls":…,"auc":…,"pairs_per_s":…,"seconds":…}
#pragma once
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

namespace warpbert {

inline constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

// The steps since the record before: mean losses over their targets (loss over all, the two over their own), and rates.
struct StepRecord {
  int epoch;  // from 1
  long step;  // from 1, over all epochs
  double loss, loss_mlm, loss_cls, lr, pairs_per_s, tokens_per_s;
};

struct EpochRecord {
  int epoch;  // from 1
  double loss, loss_mlm, loss_cls;
  double auc = undefined;                               // of the validation rows
  double pairs_per_s = undefined, seconds = undefined;  // of training alone
};

class MetricsLog {
 public:
  explicit MetricsLog(const std::string& path);  // appends
  MetricsLog(const MetricsLog&) = delete;
  ~MetricsLog();
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
};
Metrics read_metrics(const std::string& path);

// What a run resumed from a checkpoint goes on from: the file without the steps after `step`, the epochs after `epoch`
// and an unfinished last line. Atomic; a missing file stays missing.
void cut_metrics(const std::string& path, long step, int epoch);

}  // namespace warpbert
