#include "metrics_log.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "io/error.h"

namespace warpbert {

using Json = nlohmann::ordered_json;  // dumps a NaN as null

MetricsLog::MetricsLog(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "ae")) {
  if (!file_) throw io::Error(fmt::format("{}: {}", path, std::strerror(errno)));
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
    throw io::Error(fmt::format("{}: {}", path_, std::strerror(errno)));
}

}  // namespace warpbert
