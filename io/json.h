// JSON that others wrote. nlohmann-json silently keeps the last of equal keys, where another program may take
// the first.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace warpbert::io {

// The first key that an object holds twice. `depth` counts the objects and arrays around it; 0: there is none.
struct RepeatedKey {
  std::string key;
  int depth = 0;
};

// Objects and arrays may be nested this deep: copies and texts of nlohmann-json recurse, until the stack is full.
constexpr int deepest_json = 100;

// The result is_discarded() if `text` is no JSON, or nested too deep; a byte order mark is skipped.
nlohmann::json parse_json(std::string_view text, RepeatedKey& repeated);

// Throws Error that begins with `where` and names a repeated key; also for JSON nested too deep.
nlohmann::json parse_json(std::string_view text, const std::string& where);

// Why `text` is no JSON, with line and column.
std::string json_error(std::string_view text);

}  // namespace warpbert::io
