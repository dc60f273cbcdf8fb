#include "ini.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "error.h"
#include "text.h"
#include "text_file.h"

namespace warpbert::io {

namespace {

// Text before an inline comment: a semicolon after white space.
std::string_view without_comment(std::string_view text) {
  for (size_t i = 1; i < text.size(); i++)
    if (text[i] == ';' && strip(text.substr(i - 1, 1)).empty()) return text.substr(0, i - 1);
  return text;
}

}  // namespace

// Own parser: libinih limits lines to 200 bytes at compile time, and Boost drops line numbers.
std::vector<IniEntry> read_ini(const std::string& path) {
  const std::string text = read_text(path);
  std::vector<IniEntry> entries;
  std::string section;
  std::string_view rest = text;
  for (int number = 1; !rest.empty(); number++) {
    const auto refuse = [&](std::string_view why) { fail("{}: line {}{}", path, number, why); };
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end), content = strip(line);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (content.empty() || content[0] == ';' || content[0] == '#') continue;
    if (content.find('\0') != content.npos) refuse(" holds a zero byte; is this an INI file?");
    if (content.data() != line.data()) refuse(" is indented; begin it at the left margin");

    const std::string_view statement = without_comment(content);
    if (statement[0] == '[') {
      const size_t close = statement.find(']');
      if (close == statement.npos) refuse(": neither [section] nor key = value");
      const std::string_view after = strip(statement.substr(close + 1));
      if (!after.empty() && after[0] != ';' && after[0] != '#')
        refuse(" has text after [section]; put it on a line of its own");
      section = statement.substr(1, close - 1);
      continue;
    }
    const size_t separator = statement.find_first_of("=:");
    if (separator == statement.npos) refuse(": neither [section] nor key = value");
    const std::string key(strip(statement.substr(0, separator)));
    if (key.empty()) refuse(" has no key before its value");
    const auto same = [&](const IniEntry& e) { return e.section == section && e.key == key; };
    const auto first = std::find_if(entries.begin(), entries.end(), same);
    if (first != entries.end())
      refuse(fmt::format(" repeats '{}' of [{}] (first on line {}); keep one", key, section, first->line));
    entries.push_back({section, key, std::string(strip(statement.substr(separator + 1))), number});
  }
  return entries;
}

}  // namespace warpbert::io
