// report.html: a run in one self-contained, printable file, light and dark.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "metrics_log.h"
#include "page.h"

namespace warpbert {

// The report omits empty and undefined fields.
struct RunRecord {
  std::string name;               // title
  std::vector<StepRecord> steps;  // any number; curves draw at most 400 points
  std::vector<EpochRecord> epochs;
  int best_epoch = 0;  // 0: none
  double best_auc = undefined;
  double seconds = 0;                                      // the whole run
  std::vector<float> scores, labels;                       // of the validation rows, by the best model
  std::vector<long> lengths;                               // [n]: pairs of n tokens, special ones included
  std::vector<std::pair<std::string, double>> time_split;  // seconds by activity
  std::vector<Fact> facts;                                 // about data and model
  std::vector<Fact> machine;                               // machine_facts()
  std::string config;                                      // text of config.ini
};

std::string report_html(const RunRecord& run);
void write_report(const std::string& path, const RunRecord& run);  // atomic

// Processor, memory, operating system and build; `device` as the engine names it.
std::vector<Fact> machine_facts(const std::string& device);

}  // namespace warpbert
