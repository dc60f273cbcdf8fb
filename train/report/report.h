// report.html: a run at a glance, in one file that needs nothing else: curves as inline SVG, light and dark, printable.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "metrics_log.h"
#include "page.h"

namespace warpbert {

// Whatever is empty or undefined is left out of the report.
struct RunRecord {
  std::string name;               // of the run; the title
  std::vector<StepRecord> steps;  // any number: the curves draw a few hundred points of them
  std::vector<EpochRecord> epochs;
  int best_epoch = 0;  // 0: none
  double best_auc = undefined;
  double seconds = 0;                                      // the whole run
  std::vector<float> scores, labels;                       // of the validation rows, by the best model
  std::vector<long> lengths;                               // [n]: pairs of n tokens, special ones included
  std::vector<std::pair<std::string, double>> time_split;  // seconds by what they were spent on
  std::vector<Fact> facts;                                 // about data and model
  std::vector<Fact> machine;                               // machine_facts()
  std::string config;                                      // the text of config.ini
};

std::string report_html(const RunRecord& run);
void write_report(const std::string& path, const RunRecord& run);  // atomic

// Processor, cores, memory, operating system, build; `device` as the engine names it.
std::vector<Fact> machine_facts(const std::string& device);

}  // namespace warpbert
