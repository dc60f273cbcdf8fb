// JSON that others wrote. nlohmann-json silently keeps the last of equal keys, where another program may take
// the first.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace warpbert::io {

// The first key that an object holds twice. `depth` counts the objects and arrays around it; 0: no such key.
struct RepeatedKey {
  std::string key;
  int depth = 0;
};

// Objects and arrays may be nested this deep: copies and texts of nlohmann-json recurse, which takes stack.
constexpr int deepest_json = 100;

// The result is_discarded() if `text` is no JSON, or nested too deep; a byte order mark is skipped.
nlohmann::json parse_json(std::string_view text, RepeatedKey& repeated);

// Throws Error that begins with `where` and names a repeated key; also for JSON nested too deep.
nlohmann::json parse_json(std::string_view text, const std::string& where);

// An integer of this type. get() would truncate a fraction and wrap around what Int does not hold; here they
// throw std::out_of_range.
template <class Int, class Json>
Int json_integer(const Json& value) {
  const bool fits = value.is_number_unsigned()  ? std::in_range<Int>(value.template get<uint64_t>())
                    : value.is_number_integer() ? std::in_range<Int>(value.template get<int64_t>())
                                                : false;
  if (!fits) throw std::out_of_range("a number is no integer, or out of range");
  return value.template get<Int>();
}

// Why `text` is no JSON, with line and column.
std::string json_error(std::string_view text);

}  // namespace warpbert::io
