// Each function makes a row of the table in options.cpp.
#pragma once
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "io/text.h"
#include "options.h"

namespace warpbert::option {

namespace fs = std::filesystem;

// Changes allowed when a run is resumed. moved: the path may change, the file name may not.
enum class Change { refused, may_grow, moved, allowed };

struct Option {
  std::string section, key, type, meaning;
  std::function<void(Options&, const std::string& text, const fs::path& base)> set;  // throws UsageError
  std::function<std::string(const Options&)> get;
  Change change = Change::refused;
  std::string name() const { return section + "." + key; }
};

[[noreturn]] inline void refuse(const std::string& text, const std::string& expected) {
  throw UsageError(fmt::format("{} is not {}", io::quote(text), expected));
}

// Numbers in [low, high]; in [low, high) if `open`.
template <class T>
struct Range {
  T low, high;
  bool open = false;
  // Compares an open bound as float, which most options become: float(0.99999999) is 1.
  bool holds(T value) const { return value >= low && (open ? float(value) < float(high) : value <= high); }
  std::string text(bool whole = false) const {
    if (!whole && high == std::numeric_limits<T>::max()) return fmt::format("of at least {}", low);
    return fmt::format("in [{}, {}{}", low, high, open ? ')' : ']');
  }
};

template <class T>
T parse_number(const std::string& text, const Range<T>& range, const std::string& what) {
  T value{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) refuse(text, fmt::format("{} {}", what, range.text(true)));
  if (error != std::errc() || stop != text.data() + text.size() || !range.holds(value))
    refuse(text, fmt::format("{} {}", what, range.text()));
  return value;
}

// The member of Options that is a Section.
template <class Section>
constexpr auto section_of = std::get<Section Options::*>(std::tuple{
    &Options::data, &Options::model, &Options::train, &Options::mask, &Options::loss, &Options::predict,
    &Options::run, &Options::profile});

template <class T>
std::string printed(const T& value) {
  return fmt::format("{}", value);
}

// `parse` throws UsageError.
template <class Section, class T, class Parse, class Print = std::string (*)(const T&)>
Option row(std::string_view name, std::string type, T Section::*field, std::string meaning, Parse parse,
           Print print = printed<T>) {
  const size_t dot = name.find('.');
  return {std::string(name.substr(0, dot)),
          std::string(name.substr(dot + 1)),
          std::move(type),
          std::move(meaning),
          [=](Options& o, const std::string& text, const fs::path& base) {
            o.*section_of<Section>.*field = parse(text, base);
          },
          [=](const Options& o) { return print(o.*section_of<Section>.*field); }};
}

template <class Section, class T>
Option integer(std::string_view name, T Section::*field, Range<T> range, std::string meaning) {
  return row(name, "INTEGER", field, std::move(meaning), [=](const std::string& text, const fs::path&) {
    return parse_number(text, range, "an integer");
  });
}

template <class Section>
Option multiple(std::string_view name, int Section::*field, int unit, Range<int> range, std::string meaning) {
  return row(name, "INTEGER", field, std::move(meaning), [=](const std::string& text, const fs::path&) {
    const int value = parse_number(text, range, "an integer");
    if (value % unit) refuse(text, fmt::format("a multiple of {}", unit));
    return value;
  });
}

template <class Section>
Option real(std::string_view name, double Section::*field, Range<double> range, std::string meaning) {
  return row(name, "NUMBER", field, std::move(meaning),
             [=](const std::string& text, const fs::path&) { return parse_number(text, range, "a number"); });
}

// 1 to `most` comma-separated probabilities that sum to 1 within 1e-6.
template <class Section>
Option distribution(std::string_view name, std::vector<double> Section::*field, size_t most,
                    std::string meaning) {
  const auto parse = [=](const std::string& text, const fs::path&) {
    std::vector<double> values;
    for (size_t start = 0; start <= text.size();) {
      const size_t end = std::min(text.find(',', start), text.size());
      const auto part = io::strip(std::string_view(text).substr(start, end - start));
      values.push_back(parse_number<double>(std::string(part), {0, 1}, "a number"));
      start = end + 1;
    }
    if (values.size() > most) refuse(text, fmt::format("a list of at most {} numbers", most));
    const double sum = std::accumulate(values.begin(), values.end(), 0.);
    if (!(std::abs(sum - 1) < 1e-6)) refuse(text, fmt::format("a list whose sum is 1; it is {:.6g}", sum));
    return values;
  };
  return row(name, "NUMBERS", field, std::move(meaning), parse,
             [](const std::vector<double>& values) { return fmt::format("{}", fmt::join(values, ",")); });
}

// `words` in the order of the enumeration.
template <class Section, class Enum>
Option choice(std::string_view name, Enum Section::*field, const std::vector<std::string>& words,
              std::string meaning) {
  const auto parse = [=](const std::string& text, const fs::path&) {
    const auto found = std::find(words.begin(), words.end(), text);
    const std::string near = io::nearest(text, words);
    if (found == words.end())
      refuse(text, fmt::format("one of {}{}", fmt::join(words, ", "),
                               near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
    return Enum(found - words.begin());
  };
  return row(name, fmt::format("{}", fmt::join(words, "|")), field, std::move(meaning), parse,
             [=](Enum value) { return words[size_t(value)]; });
}

// Absolute; refuses paths that config.ini cannot represent.
template <class Section>
Option path(std::string_view name, std::string Section::*field, std::string meaning) {
  const auto parse = [](const std::string& text, const fs::path& base) {
    std::string value = text.empty() ? text : (base / text).lexically_normal().string();
    if (io::strip(value) != value || value.find(" ;") != value.npos ||
        std::any_of(value.begin(), value.end(), [](unsigned char c) { return c < 0x20; }))
      throw UsageError(fmt::format(
          "{}: a path with ' ;', control characters or a space at its end cannot be saved in config.ini; "
          "rename it",
          io::quote(text)));
    return value;
  };
  Option option = row(name, "PATH", field, std::move(meaning), parse);
  option.change = Change::moved;
  return option;
}

inline Option with(Option option, Change change) {
  option.change = change;
  return option;
}

}  // namespace warpbert::option
