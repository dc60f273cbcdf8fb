// An INI file. What was read, written and read again is the same.
#include "io/ini.h"

#include "fuzz.h"

using namespace warpbert;
using namespace warpbert::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = write("in.ini", text_of(data, size));
  std::vector<io::IniEntry> entries;
  if (!accepts(path, [&] { entries = io::read_ini(path); })) return 0;
  std::string text, section;
  for (const io::IniEntry& entry : entries) {
    if (entry.section != section) text += fmt::format("[{}]\n", entry.section);
    section = entry.section;
    text += fmt::format("{}={}\n", entry.key, entry.value);
  }
  if (!entries.empty() && entries[0].section.empty()) text.insert(0, "[]\n");
  const auto again = io::read_ini(write("again.ini", text));
  require(again.size() == entries.size(), "an INI file that was written again has other entries");
  for (size_t i = 0; i < again.size(); i++)
    require(again[i].section == entries[i].section && again[i].key == entries[i].key &&
                again[i].value == entries[i].value,
            fmt::format("entry {} changed when it was written again", entries[i].key));
  return 0;
}
