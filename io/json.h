// JSON that others wrote. nlohmann-json keeps the last of equal keys, where another program may take the
// first.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace warpbert::io {

// First key that an object holds twice. `depth`: objects and arrays around it; 0: no such key.
struct RepeatedKey {
  std::string key;
  int depth = 0;
};

// Limit of nesting: nlohmann-json copies and prints recursively, which takes stack.
constexpr int deepest_json = 100;

// Result is_discarded() if `text` is no JSON, or nested too deep; a BOM is skipped.
nlohmann::json parse_json(std::string_view text, RepeatedKey& repeated);

// Throws Error that begins with `where`, also for a repeated key or JSON nested too deep.
nlohmann::json parse_json(std::string_view text, const std::string& where);

// Throws std::out_of_range for fractions, which get() truncates, and integers out of range, which it wraps.
template <class Int, class Json>
Int json_integer(const Json& value) {
  const bool fits = value.is_number_unsigned()  ? std::in_range<Int>(value.template get<uint64_t>())
                    : value.is_number_integer() ? std::in_range<Int>(value.template get<int64_t>())
                                                : false;
  if (!fits) throw std::out_of_range("a number is no integer, or out of range");
  return value.template get<Int>();
}

// Parse error of `text`, with line and column.
std::string json_error(std::string_view text);

}  // namespace warpbert::io
