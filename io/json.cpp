#include "json.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "error.h"
#include "text.h"

namespace warpbert::io {

nlohmann::json parse_json(std::string_view text, RepeatedKey& repeated) {
  using Event = nlohmann::json::parse_event_t;
  std::vector<std::set<std::string>> keys;  // of the objects around the current place
  const auto watch = [&](int depth, Event event, nlohmann::json& parsed) {
    if (event == Event::object_start) {
      keys.resize(size_t(depth) + 1);
      keys.emplace_back();
    }
    if (event == Event::key && !keys[size_t(depth)].insert(parsed.get<std::string>()).second &&
        !repeated.depth)
      repeated = {parsed.get<std::string>(), depth};
    return true;
  };
  return nlohmann::json::parse(text.begin(), text.end(), watch, false);
}

nlohmann::json parse_json(std::string_view text, const std::string& where) {
  RepeatedKey repeated;
  nlohmann::json json = parse_json(text, repeated);
  if (repeated.depth)
    fail("{}: holds the key {} more than once; keep one of them", where, quote(repeated.key));
  return json;
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
