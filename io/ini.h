// INI files: [section], `key = value` or `key : value`. Comments: ; or # at the start of a line, " ;" after a
// value.
#pragma once
#include <string>
#include <vector>

namespace warpbert::io {

struct IniEntry {
  std::string section, key, value;
  int line;
};

// Entries in file order. Throws Error with file and line for a repeated key, an indented line, or one that is
// neither section nor key = value.
std::vector<IniEntry> read_ini(const std::string& path);

}  // namespace warpbert::io
