// The page of a report: one file, report.html of this folder with the data of one or several runs. C++
// computes every value; the page's script draws them.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace warpbert {

using Json = nlohmann::ordered_json;               // keeps key order; non-finite numbers become null
using Fact = std::pair<std::string, std::string>;  // name and value

// Adds `value` under `key` unless it is null, empty, or not finite.
void add_known(Json& json, const char* key, Json value);

// [{"name": …, "value": …}, …]
Json facts_json(const std::vector<Fact>& facts);

// JSON as UTF-8 text. Bytes that are not UTF-8 become U+FFFD.
std::string json_text(const Json& json);

// `figures`: for readers without JavaScript.
std::string page_html(const std::string& title, const Json& data, const std::vector<Fact>& figures);

}  // namespace warpbert
