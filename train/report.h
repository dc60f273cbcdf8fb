// report.html: a run at a glance, one file that needs nothing else: curves as inline SVG, light and dark.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "metrics_log.h"

namespace warpbert {

struct RunRecord {
  std::vector<StepRecord> steps;
  std::vector<EpochRecord> epochs;
  int best_epoch = 0;  // 0: none
  double best_auc = undefined;
  double seconds = 0;                 // of training and validation
  std::vector<float> scores, labels;  // of the validation rows, by the best model
  std::vector<std::pair<std::string, std::string>> facts;
  std::string config;
};

std::string report_html(const RunRecord& run);

}  // namespace warpbert
