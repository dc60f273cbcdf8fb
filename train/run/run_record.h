// What a run leaves behind for its report.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "checkpoint.h"
#include "run_directory.h"
#include "train/report/report.h"
#include "train/step/session.h"

namespace warpbert {

// Of a run that has come to its end; reads its metrics.
RunRecord run_record(Session& session, const RunDirectory& directory, const RunState& state,
                     std::vector<std::pair<std::string, double>> time_split);

}  // namespace warpbert
