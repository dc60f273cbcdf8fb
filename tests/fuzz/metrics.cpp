// metrics.jsonl. Its records, written again, read the same; cut, none is later.
#include <cmath>

#include "fuzz.h"
#include "train/report/metrics_log.h"

using namespace warpbert;
using namespace warpbert::fuzz;

namespace {

template <class Record>
bool equal(const Record& a, const Record& b, std::span<const Field<Record>> fields) {
  for (const auto& field : fields) {
    const double x = a.*field.value, y = b.*field.value;
    if (x != y && (std::isfinite(x) || std::isfinite(y))) return false;  // undefined ones are null
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = write("metrics.jsonl", text_of(data, size));
  Metrics metrics;
  if (!accepts(path, [&] { metrics = read_metrics(path); })) return 0;
  const std::string copy = write("again.jsonl", "");
  {
    MetricsLog log(copy);
    for (const StepRecord& record : metrics.steps) log.write(record);
    for (const EpochRecord& record : metrics.epochs) log.write(record);
  }
  const Metrics again = read_metrics(copy);
  require(again.steps.size() == metrics.steps.size() && again.epochs.size() == metrics.epochs.size(),
          "records got lost when they were written again");
  for (size_t i = 0; i < again.steps.size(); i++) {
    const StepRecord &a = metrics.steps[i], &b = again.steps[i];
    require(a.epoch == b.epoch && a.step == b.step && equal(a, b, step_fields()), "a step record changed");
  }
  for (size_t i = 0; i < again.epochs.size(); i++) {
    const EpochRecord &a = metrics.epochs[i], &b = again.epochs[i];
    require(a.epoch == b.epoch && equal(a, b, epoch_fields()), "an epoch record changed");
  }

  constexpr long step = 50;
  constexpr int epoch = 1;
  size_t steps = 0, epochs = 0;
  for (const StepRecord& record : metrics.steps) steps += record.step <= step;
  for (const EpochRecord& record : metrics.epochs) epochs += record.epoch <= epoch;
  if (!accepts(path, [&] { cut_metrics(path, step, epoch); })) return 0;
  const Metrics cut = read_metrics(path);
  require(cut.steps.size() == steps && cut.epochs.size() == epochs, "a log is cut at the wrong place");
  return 0;
}
