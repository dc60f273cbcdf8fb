// Several runs on one page: their curves over one another, their results, and the options in which they differ.
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

inline constexpr size_t most_compared_runs = 6;  // as many colours as can be told apart

// The runs in these folders, finished or under way, by the folders' names, or by the paths where two have the same
// name. Throws io::Error naming the config.ini or metrics.jsonl that is missing or cannot be read.
std::vector<ComparedRun> read_runs(const std::vector<std::string>& folders);

Json comparison_json(const std::vector<ComparedRun>& runs);
std::string comparison_html(const std::vector<ComparedRun>& runs);

}  // namespace warpbert
