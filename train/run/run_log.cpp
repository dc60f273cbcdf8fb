#include "run_log.h"

#include <fmt/format.h>

#include <cmath>

#include "io/atomic_file.h"

namespace warpbert {

template <class Record>
static std::string numbers(const Record& record, std::span<const Field<Record>> fields) {
  std::string text;
  for (const auto& field : fields) {
    const double value = record.*field.value;
    text += std::isfinite(value) ? fmt::format(",{}", value) : ",";
  }
  return text + "\n";
}

template <class Record>
static std::string names(std::span<const Field<Record>> fields) {
  std::string text;
  for (const auto& field : fields) text += fmt::format(",{}", field.key);
  return text + "\n";
}

std::string steps_csv(const Metrics& metrics) {
  std::string text = "epoch,step" + names(step_fields());
  for (const StepRecord& r : metrics.steps)
    text += fmt::format("{},{}{}", r.epoch, r.step, numbers(r, step_fields()));
  return text;
}

std::string epochs_csv(const Metrics& metrics) {
  std::string text = "epoch" + names(epoch_fields());
  for (const EpochRecord& r : metrics.epochs)
    text += fmt::format("{}{}", r.epoch, numbers(r, epoch_fields()));
  return text;
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
