#include "metrics_log.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "io/atomic_file.h"
#include "io/error.h"
#include "io/text.h"

namespace warpbert {

using Json = nlohmann::ordered_json;  // keeps the order of keys, and writes what is not finite as null

// ---- Writing --------------------------------------------------------------------------------------------------------

MetricsLog::MetricsLog(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "ae")) {
  if (!file_) io::fail("{}: cannot be opened to append: {}", path, std::strerror(errno));
}

MetricsLog::~MetricsLog() { std::fclose(file_); }

void MetricsLog::write(const StepRecord& r) {
  line(Json{{"kind", "step"},
            {"epoch", r.epoch},
            {"step", r.step},
            {"loss", r.loss},
            {"loss_mlm", r.loss_mlm},
            {"loss_cls", r.loss_cls},
            {"lr", r.lr},
            {"pairs_per_s", r.pairs_per_s},
            {"tokens_per_s", r.tokens_per_s}}
           .dump());
}

void MetricsLog::write(const EpochRecord& r) {
  line(Json{{"kind", "epoch"},
            {"epoch", r.epoch},
            {"loss", r.loss},
            {"loss_mlm", r.loss_mlm},
            {"loss_cls", r.loss_cls},
            {"auc", r.auc},
            {"pairs_per_s", r.pairs_per_s},
            {"seconds", r.seconds}}
           .dump());
}

void MetricsLog::line(const std::string& text) {
  if (std::fputs((text + "\n").c_str(), file_) < 0 || std::fflush(file_) != 0)
    io::fail("{}: cannot be written: {}", path_, std::strerror(errno));
}

// ---- Reading --------------------------------------------------------------------------------------------------------

namespace {

// Calls use(line, its record) for every finished line. A killed process may leave a last line without its end.
template <class Use>
void for_each_line(const std::string& path, std::string_view text, Use use) {
  size_t number = 0;
  for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
    number++;
    try {
      use(text.substr(0, end + 1), Json::parse(text.substr(0, end)));
    } catch (const Json::exception&) {
      io::fail("{}: line {}: {} is no record of a run; remove the line, or the run, and start again", path, number,
               io::quote(text.substr(0, end)));
    }
  }
}

double number(const Json& record, const char* key) {
  const auto value = record.find(key);
  return value == record.end() || value->is_null() ? undefined : value->get<double>();
}

std::string kind(const Json& record) { return record.at("kind").get<std::string>(); }

}  // namespace

Metrics read_metrics(const std::string& path) {
  Metrics metrics;
  const std::string text = io::read_file(path);
  for_each_line(path, text, [&](std::string_view, const Json& r) {
    if (kind(r) == "step")
      metrics.steps.push_back({r.at("epoch").get<int>(), r.at("step").get<long>(), number(r, "loss"),
                               number(r, "loss_mlm"), number(r, "loss_cls"), number(r, "lr"), number(r, "pairs_per_s"),
                               number(r, "tokens_per_s")});
    else if (kind(r) == "epoch")
      metrics.epochs.push_back({r.at("epoch").get<int>(), number(r, "loss"), number(r, "loss_mlm"),
                                number(r, "loss_cls"), number(r, "auc"), number(r, "pairs_per_s"),
                                number(r, "seconds")});
  });
  return metrics;
}

void cut_metrics(const std::string& path, long step, int epoch) {
  if (!std::filesystem::exists(path)) return;
  const std::string text = io::read_file(path);
  std::string kept;
  for_each_line(path, text, [&](std::string_view line, const Json& r) {
    const bool later = kind(r) == "step"    ? r.at("step").get<long>() > step
                       : kind(r) == "epoch" ? r.at("epoch").get<int>() > epoch
                                            : false;
    if (!later) kept += line;
  });
  if (kept != text) io::write_file_atomically(path, kept);
}

}  // namespace warpbert
