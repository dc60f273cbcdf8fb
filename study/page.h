// A trace as JSON, and traces as one self-contained page.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trace.h"

namespace warpbert::study {

using Json = nlohmann::ordered_json;

constexpr int trace_format = 1;

// `facts`: what the header says: sizes, precision.
Json trace_json(const Trace&, const Recording&, const std::string& kernel, const Json& facts);

// One or two traces. Throws io::Error for JSON that is no trace.
std::string trace_page(const std::string& title, const std::vector<Json>& traces);

}  // namespace warpbert::study
