// A run's report: run.json has the values, report.html draws them.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "metrics_log.h"
#include "page.h"

namespace warpbert {

// Labelled rows of one part of the data.
struct ClassCounts {
  std::string name;
  size_t match = 0, no_match = 0;
};

// Empty and undefined values are omitted.
struct RunRecord {
  std::string name;                                    // of the run; the title
  double first_record = undefined, ended = undefined;  // unix_time()
  std::vector<StepRecord> steps;
  std::vector<EpochRecord> epochs;
  int best_epoch = 0;  // 0: none
  double best_auc = undefined;
  double threshold = undefined;                            // of highest F1 on the validation rows
  std::string data_hash;                                   // hash_text(Session::start_hash())
  std::string weights_hash;                                // hash_text(Session::weights_hash())
  double seconds = 0;                                      // the whole run
  std::vector<float> scores, labels;                       // validation rows, best model
  std::vector<long> lengths;                               // [n]: pairs of n tokens with special ones
  std::vector<ClassCounts> classes;                        // of training and validation
  std::vector<std::pair<std::string, double>> time_split;  // name and seconds
  std::vector<Fact> facts;                                 // about data and model
  std::vector<Fact> machine;                               // environment()
  std::string config;                                      // the text of config.ini
};

Json run_json(const RunRecord& run);
std::string report_html(const RunRecord& run);
// Writes run.json, then report.html, each atomically.
void write_report(const std::string& html_path, const std::string& json_path, const RunRecord& run);

// `elapsed`: training seconds up to the end of each epoch.
Json epochs_json(const std::vector<EpochRecord>& epochs);

// Processor, cores, memory, operating system, build; `device` as the engine names it.
std::vector<Fact> environment(const std::string& device);

}  // namespace warpbert
