#include "ini.h"

#include <ini.h>

#include <algorithm>

#include "error.h"
#include "text.h"

namespace warpbert::io {

namespace {

// inih calls back for a line at a time and for each entry. It is C: exceptions must not pass through it, so the first
// fault is kept until it is done.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), text_(read_file(path)), rest_(text_) {}

  std::vector<IniEntry> read() {
    const int malformed = ini_parse_stream(&Reader::next_line, this, &Reader::entry, this);
    if (!fault_.empty()) throw Error(fault_);
    if (malformed) fail("{}: line {}: neither [section] nor key = value", path_, malformed);
    return std::move(entries_);
  }

 private:
  // The next line as a C string in `buffer`, like fgets. Comments and blank lines are passed on empty, so that the
  // line numbers of inih and ours agree.
  static char* next_line(char* buffer, int capacity, void* stream) {
    Reader& reader = *static_cast<Reader*>(stream);
    if (reader.rest_.empty() || !reader.fault_.empty()) return nullptr;
    reader.line_++;
    const size_t end = std::min(reader.rest_.find('\n'), reader.rest_.size());
    std::string_view line = reader.rest_.substr(0, end);
    reader.rest_.remove_prefix(std::min(end + 1, reader.rest_.size()));
    if (reader.line_ == 1 && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);

    const std::string_view content = strip(line);
    if (content.empty() || content[0] == ';' || content[0] == '#') line = {};
    else if (line.find('\0') != line.npos) reader.refuse("holds a zero byte; is this an INI file?");
    else if (content.data() != line.data()) reader.refuse("is indented; begin it at the left margin");
    else if (content.size() > longest_ini_line || content.size() + 1 > size_t(capacity))
      reader.refuse(fmt::format("has {} bytes; at most {} are allowed", content.size(), longest_ini_line));
    else if (has_text_behind_section(content)) reader.refuse("has text behind [section]; put it on a line of its own");
    if (!reader.fault_.empty()) return nullptr;
    if (line.empty()) buffer[0] = '\0';
    else buffer[content.copy(buffer, content.size())] = '\0';
    return buffer;
  }

  // inih would drop it.
  static bool has_text_behind_section(std::string_view line) {
    if (line.empty() || line[0] != '[') return false;
    const std::string_view behind = strip(line.substr(std::min(line.find(']'), line.size() - 1) + 1));
    return !behind.empty() && behind[0] != ';' && behind[0] != '#';
  }

  static int entry(void* user, const char* section, const char* key, const char* value) {
    Reader& reader = *static_cast<Reader*>(user);
    const auto same = [&](const IniEntry& e) { return e.section == section && e.key == key; };
    const auto first = std::find_if(reader.entries_.begin(), reader.entries_.end(), same);
    if (!*key) reader.refuse("has no key before its value");
    else if (first != reader.entries_.end())
      reader.refuse(fmt::format("repeats '{}' of [{}] (first on line {}); keep one", key, section, first->line));
    else reader.entries_.push_back({section, key, value, reader.line_});
    return 1;
  }

  void refuse(const std::string& why) {
    if (fault_.empty()) fault_ = fmt::format("{}: line {} {}", path_, line_, why);
  }

  std::string path_, text_;
  std::string_view rest_;
  int line_ = 0;
  std::string fault_;
  std::vector<IniEntry> entries_;
};

}  // namespace

std::vector<IniEntry> read_ini(const std::string& path) { return Reader(path).read(); }

}  // namespace warpbert::io
