// A finished run's results for its report.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "checkpoint.h"
#include "run_directory.h"
#include "train/report/report.h"
#include "train/step/session.h"

namespace warpbert {

// Reads the run's metrics.
RunRecord run_record(Session& session, const RunDirectory& directory, const RunState& state,
                     std::vector<std::pair<std::string, double>> time_split);

}  // namespace warpbert
