// INI files: [section], key = value, comments on lines that begin with ; or #, or behind a value after " ;".
#pragma once
#include <string>
#include <vector>

namespace warpbert::io {

struct IniEntry {
  std::string section, key, value;
  int line;
};

// All entries in the file's order. Refused with file and line: a repeated key (naming both lines), a line that is
// neither section nor key = value, an indented line, a line of 200 bytes or more (comments may be of any length).
std::vector<IniEntry> read_ini(const std::string& path);

// The longest line, `key = value`, that read_ini takes.
inline constexpr size_t longest_ini_line = 199;

}  // namespace warpbert::io
