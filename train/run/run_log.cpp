#include "run_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "io/atomic_file.h"

namespace warpbert {

// A line per record: what `index` says of it, then its fields.
template <class Record, class Index>
static std::string table(std::string text, const std::vector<Record>& records,
                         std::span<const Field<Record>> fields, Index index) {
  std::vector<Field<Record>> columns;
  for (const auto& field : fields)
    if (!field.optional || std::any_of(records.begin(), records.end(),
                                       [&](const Record& r) { return std::isfinite(r.*field.value); }))
      columns.push_back(field);
  for (const auto& column : columns) text += fmt::format(",{}", column.key);
  text += "\n";
  for (const Record& record : records) {
    text += index(record);
    for (const auto& column : columns) {
      const double value = record.*column.value;
      text += std::isfinite(value) ? fmt::format(",{}", value) : ",";
    }
    text += "\n";
  }
  return text;
}

std::string steps_csv(const Metrics& metrics) {
  return table("epoch,step", metrics.steps, step_fields(),
               [](const StepRecord& r) { return fmt::format("{},{}", r.epoch, r.step); });
}

std::string epochs_csv(const Metrics& metrics) {
  return table("epoch", metrics.epochs, epoch_fields(),
               [](const EpochRecord& r) { return fmt::format("{}", r.epoch); });
}

RunLog::RunLog(const RunDirectory& directory, const RunOptions& options)
    : directory_(directory), csv_(options.csv), metrics_(directory.metrics()) {
  write_tables();
  if (!options.tensorboard) return;
  const double now = unix_time();
  const std::string file = directory.events(long(now));
  tensorboard_ = std::make_unique<TensorBoardLog>(file, now, read_metrics(directory.metrics()));
  directory.remove_events_but(file);
}

void RunLog::write(const StepRecord& record) {
  metrics_.write(record);
  if (tensorboard_) tensorboard_->write(record);
}

void RunLog::write(const EpochRecord& record) {
  metrics_.write(record);
  if (tensorboard_) tensorboard_->write(record);
  write_tables();
}

void RunLog::write_tables() const {
  if (!csv_) return;
  const Metrics metrics = read_metrics(directory_.metrics());
  io::write_file_atomically(directory_.steps_csv(), steps_csv(metrics));
  io::write_file_atomically(directory_.epochs_csv(), epochs_csv(metrics));
}

}  // namespace warpbert
