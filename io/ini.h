// INI files: [section] and `key = value` (or `key : value`). A comment starts with ; or # at the start of a line, or with
// " ;" after a value.
#pragma once
#include <string>
#include <vector>

namespace warpbert::io {

struct IniEntry {
  std::string section, key, value;
  int line;
};

// Reads all entries in the file's order. Lines may be of any length. Refuses with file and line: a repeated key (naming
// both lines), a line that is neither section nor key = value, and an indented line.
std::vector<IniEntry> read_ini(const std::string& path);

}  // namespace warpbert::io
