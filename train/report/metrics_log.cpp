#include "metrics_log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <exception>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "io/atomic_file.h"
#include "io/error.h"
#include "io/json.h"
#include "io/text.h"

namespace warpbert {

using Json = nlohmann::ordered_json;  // non-finite values become null

// ---- Fields -----------------------------------------------------------------------------------------------

double unix_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::span<const Field<StepRecord>> step_fields() {
  using R = StepRecord;
  static const Field<R> fields[] = {{"loss", &R::loss, "loss/total"},
                                    {"loss_mlm", &R::loss_mlm, "loss/mlm"},
                                    {"loss_cls", &R::loss_cls, "loss/cls"},
                                    {"lr", &R::lr, "lr"},
                                    {"pairs_per_s", &R::pairs_per_s, "speed/pairs_per_s"},
                                    {"tokens_per_s", &R::tokens_per_s, "speed/tokens_per_s"},
                                    {"grad_norm", &R::grad_norm, "grad_norm"},
                                    {"skipped", &R::skipped},
                                    {"tflops", &R::tflops, "speed/tflops"},
                                    {"memory_mib", &R::memory_mib, "memory/mib"},
                                    {"memory_peak_mib", &R::memory_peak_mib, "memory/peak_mib"},
                                    {"time", &R::time},
                                    {"steps", &R::steps, nullptr, true}};
  return fields;
}

std::span<const Field<EpochRecord>> epoch_fields() {
  using R = EpochRecord;
  static const Field<R> fields[] = {
      {"loss", &R::loss, "epoch/loss"},
      {"loss_mlm", &R::loss_mlm, "epoch/loss_mlm"},
      {"loss_cls", &R::loss_cls, "epoch/loss_cls"},
      {"auc", &R::auc, "validation/auc"},
      {"pairs_per_s", &R::pairs_per_s, "epoch/pairs_per_s"},
      {"seconds", &R::seconds, "epoch/seconds"},
      {"log_loss", &R::log_loss, "validation/log_loss"},
      {"accuracy", &R::accuracy, "validation/accuracy"},
      {"f1", &R::f1, "validation/f1"},
      {"best_threshold", &R::best_threshold, "validation/best_threshold"},
      {"accuracy_at_best_f1", &R::accuracy_at_best_f1, "validation/accuracy_at_best_f1"},
      {"best_f1", &R::best_f1, "validation/best_f1"},
      {"time", &R::time},
      {"train_log_loss", &R::train_log_loss, "epoch/train_log_loss", true}};
  return fields;
}

// ---- Writing ----------------------------------------------------------------------------------------------

MetricsLog::MetricsLog(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "ae")) {
  if (!file_) io::fail("{}: cannot be opened to append: {}", path, std::strerror(errno));
  io::sync_folder(std::filesystem::path(path).parent_path());
}

void MetricsLog::sync() {
  if (fsync(fileno(file_)) != 0 && errno != EINVAL && errno != ENOTSUP)  // some files cannot
    throw io::Error(io::writing_failure(path_, errno));
}

MetricsLog::~MetricsLog() { std::fclose(file_); }

template <class Record>
static std::string text(Json json, const Record& record, std::span<const Field<Record>> fields) {
  for (const auto& field : fields)
    if (!field.optional || std::isfinite(record.*field.value)) json[field.key] = record.*field.value;
  return json.dump();
}

void MetricsLog::write(const StepRecord& r) {
  line(text(Json{{"kind", "step"}, {"epoch", r.epoch}, {"step", r.step}}, r, step_fields()));
}

void MetricsLog::write(const EpochRecord& r) {
  line(text(Json{{"kind", "epoch"}, {"epoch", r.epoch}}, r, epoch_fields()));
}

void MetricsLog::line(const std::string& text) {
  if (std::fputs((text + "\n").c_str(), file_) < 0 || std::fflush(file_) != 0)
    io::fail("{}: cannot be written: {}", path_, std::strerror(errno));
}

// ---- Reading ----------------------------------------------------------------------------------------------

namespace {

// Calls use(line, record) for every finished line.
template <class Use>
void for_each_line(const std::string& path, std::string_view text, Use use) {
  size_t number = 0;
  for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
    number++;
    try {
      use(text.substr(0, end + 1), Json::parse(text.substr(0, end)));
    } catch (const std::exception&) {  // of Json, or of json_integer()
      io::fail("{}: line {}: {} is no record of a run; remove the line, or the run, and start again", path,
               number, io::quote(text.substr(0, end)));
    }
  }
}

// Fields missing in earlier versions stay undefined.
template <class Record>
Record with_numbers(Record record, const Json& json, std::span<const Field<Record>> fields) {
  for (const auto& field : fields) {
    const auto value = json.find(field.key);
    record.*field.value = value == json.end() || value->is_null() ? undefined : value->template get<double>();
  }
  return record;
}

std::string kind(const Json& record) { return record.at("kind").get<std::string>(); }

}  // namespace

Metrics read_metrics(const std::string& path) {
  Metrics metrics;
  const std::string text = io::read_file(path);
  for_each_line(path, text, [&](std::string_view, const Json& r) {
    if (kind(r) == "step") {
      StepRecord record{};
      record.epoch = io::json_integer<int>(r.at("epoch")), record.step = io::json_integer<long>(r.at("step"));
      metrics.steps.push_back(with_numbers(record, r, step_fields()));
    } else if (kind(r) == "epoch") {
      EpochRecord record{};
      record.epoch = io::json_integer<int>(r.at("epoch"));
      metrics.epochs.push_back(with_numbers(record, r, epoch_fields()));
    }
    if (std::isfinite(metrics.first_record)) return;
    if (const auto time = r.find("time"); time != r.end() && time->is_number())
      time->get_to(metrics.first_record);
  });
  return metrics;
}

void cut_metrics(const std::string& path, long step, int epoch) {
  if (!std::filesystem::exists(path)) return;
  const std::string text = io::read_file(path);
  std::string kept;
  for_each_line(path, text, [&](std::string_view line, const Json& r) {
    const bool later = kind(r) == "step"    ? io::json_integer<long>(r.at("step")) > step
                       : kind(r) == "epoch" ? io::json_integer<int>(r.at("epoch")) > epoch
                                            : false;
    if (!later) kept += line;
  });
  if (kept != text) io::write_file_atomically(path, kept);
}

}  // namespace warpbert
