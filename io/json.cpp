#include "json.h"

#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "error.h"
#include "text.h"

namespace warpbert::io {

namespace {

struct Parsed {
  nlohmann::json json;
  RepeatedKey repeated;
  bool too_deep = false;
};

Parsed parse(std::string_view text) {
  using Event = nlohmann::json::parse_event_t;
  Parsed result;
  RepeatedKey& repeated = result.repeated;
  std::vector<std::set<std::string>> keys;  // of the objects around the current place
  const auto watch = [&](int depth, Event event, nlohmann::json& parsed) {
    const bool opens = event == Event::object_start || event == Event::array_start;
    if (opens && depth >= deepest_json) result.too_deep = true;
    if (result.too_deep) return false;
    if (event == Event::object_start) {
      keys.resize(size_t(depth) + 1);
      keys.emplace_back();
    }
    if (event == Event::key && !keys[size_t(depth)].insert(parsed.get<std::string>()).second &&
        !repeated.depth)
      repeated = {parsed.get<std::string>(), depth};
    return true;
  };
  result.json = nlohmann::json::parse(text.begin(), text.end(), watch, false);
  if (result.too_deep) result.json = nlohmann::json(nlohmann::json::value_t::discarded);
  return result;
}

}  // namespace

nlohmann::json parse_json(std::string_view text, RepeatedKey& repeated) {
  Parsed parsed = parse(text);
  repeated = std::move(parsed.repeated);
  return std::move(parsed.json);
}

nlohmann::json parse_json(std::string_view text, const std::string& where) {
  Parsed parsed = parse(text);
  if (parsed.too_deep) fail("{}: its objects and arrays are nested more than {} deep", where, deepest_json);
  if (parsed.repeated.depth)
    fail("{}: holds the key {} more than once; keep one of them", where, quote(parsed.repeated.key));
  return std::move(parsed.json);
}

std::string json_error(std::string_view text) {
  try {
    [[maybe_unused]] const auto json = nlohmann::json::parse(text.begin(), text.end());
    return "";
  } catch (const nlohmann::json::exception& error) {  // also out_of_range: 1e999
    return error.what();
  }
}

}  // namespace warpbert::io
