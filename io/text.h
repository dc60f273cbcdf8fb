#pragma once
#include <charconv>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace warpbert::io {

// Contents of a file, or its first bytes; "-" is standard input. Throws Error with the path.
std::string read_file(const std::string& path, size_t longest = std::string::npos);

// `text` with control characters escaped as \x1b, except those in `kept`.
std::string printable(std::string_view text, std::string_view kept = {});

// printable(text) in quotes, truncated to 40 bytes.
std::string quote(std::string_view text);

// Control characters become spaces.
std::string escape_html(std::string_view text);

// "a, b, c, d and 3 more".
std::string listed(std::span<const std::string> names);

std::string_view strip(std::string_view text);

// Number that is all of `text`; nullopt otherwise.
template <class T>
std::optional<T> to_number(std::string_view text) {
  T value{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && stop == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

// Nearest by edit distance, ignoring case; "" if none is close enough for a typo.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace warpbert::io
