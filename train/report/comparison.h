// Several runs on one page: curves, results, and options that differ.
#pragma once
#include <string>
#include <vector>

#include "metrics_log.h"
#include "page.h"
#include "train/config/options.h"

namespace warpbert {

struct ComparedRun {
  std::string name;
  Options options;
  Metrics metrics;
};

inline constexpr size_t most_compared_runs = 6;  // number of distinguishable colours

// Names are folders, or paths if folders clash. Throws io::Error naming a missing or unreadable config.ini or
// metrics.jsonl.
std::vector<ComparedRun> read_runs(const std::vector<std::string>& folders);

Json comparison_json(const std::vector<ComparedRun>& runs);
std::string comparison_html(const std::vector<ComparedRun>& runs);

}  // namespace warpbert
