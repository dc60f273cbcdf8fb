// metrics.jsonl: one JSON object a line, "kind" first; what is undefined is null.
#pragma once
#include <cstdio>
#include <limits>
#include <string>

namespace warpbert {

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

// Sums over the steps since the last line.
struct StepRecord {
  int epoch;  // from 1
  long step;  // from 1, over all epochs
  double loss, loss_mlm, loss_cls, lr, pairs_per_s, tokens_per_s;
};

struct EpochRecord {
  int epoch;
  double loss, loss_mlm, loss_cls;  // the two are means over their own targets
  double auc = undefined;           // of the validation rows
  double pairs_per_s, seconds;      // of training alone
};

class MetricsLog {
 public:
  explicit MetricsLog(const std::string& path);  // appends; throws io::Error
  MetricsLog(const MetricsLog&) = delete;
  ~MetricsLog();
  void write(const StepRecord& r);
  void write(const EpochRecord& r);

 private:
  void line(const std::string& text);
  std::string path_;
  std::FILE* file_;
};

}  // namespace warpbert
