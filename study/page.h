#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trace.h"

namespace warpbert::study {

using Json = nlohmann::ordered_json;

constexpr int trace_format = 1;

// `sizes`: precision and sizes of the launch; the key "facts".
Json trace_json(const Trace&, const Recording&, const std::string& kernel, const Json& sizes);

// Throws io::Error if the file is no trace.
Json read_trace(const std::string& path);

std::string trace_page(const std::string& title, const std::vector<Json>& traces);

}  // namespace warpbert::study
