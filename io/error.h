// Every failure in io/ is an io::Error naming the file, the line or array, and the remedy.
#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace warpbert::io {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// fail("{}: line {}: …", path, line) throws the Error.
template <class... T>
[[noreturn]] void fail(fmt::format_string<T...> format, T&&... values) {
  throw Error(fmt::format(format, std::forward<T>(values)...));
}

void print_warning(const std::string& text);

// warn("{}: line {}: …", path, line) prints "warning: …" on stderr, control characters escaped.
template <class... T>
void warn(fmt::format_string<T...> format, T&&... values) {
  print_warning(fmt::format(format, std::forward<T>(values)...));
}

}  // namespace warpbert::io
