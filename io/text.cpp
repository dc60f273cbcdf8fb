#include "text.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "error.h"

namespace warpbert::io {

std::string read_file(const std::string& path, size_t longest) {
  const auto close = [](std::FILE* f) { f == stdin ? 0 : std::fclose(f); };
  const std::unique_ptr<std::FILE, decltype(close)> file(path == "-" ? stdin : std::fopen(path.c_str(), "rb"),
                                                         close);
  if (!file) fail("{}: cannot be opened: {}", path, std::strerror(errno));

  std::string text;
  while (text.size() < longest) {
    const size_t size = text.size(), wanted = std::min<size_t>(1 << 20, longest - size);
    text.resize(size + wanted);
    errno = 0;
    const size_t got = std::fread(text.data() + size, 1, wanted, file.get());
    if (std::ferror(file.get())) fail("{}: cannot be read: {}", path, std::strerror(errno));
    text.resize(size + got);
    if (got < wanted) break;
  }
  return text;
}

void print_warning(const std::string& text) { fmt::print(stderr, "{}\n", printable("warning: " + text)); }

std::string printable(std::string_view text, std::string_view kept) {
  std::string out;
  for (const unsigned char c : text) {
    if ((c < 0x20 || c == 0x7f) && kept.find(char(c)) == kept.npos) out += fmt::format("\\x{:02x}", c);
    else out += char(c);
  }
  return out;
}

std::string quote(std::string_view text) {
  size_t longest = 40;
  while (longest > 37 && longest < text.size() && (text[longest] & 0xc0) == 0x80)
    longest--;  // of 4 bytes at most
  return "'" + printable(text.substr(0, longest)) + (text.size() > longest ? "…'" : "'");
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (static_cast<unsigned char>(c) < 32) out += ' ';
    else out += c;
  }
  return out;
}

std::string listed(std::span<const std::string> names) {
  constexpr size_t most = 4;
  const auto first = names.first(std::min(names.size(), most));
  return fmt::format("{}{}", fmt::join(first, ", "),
                     names.size() > most ? fmt::format(" and {} more", names.size() - most) : "");
}

std::string_view strip(std::string_view text) {
  constexpr std::string_view white = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(white);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(white) - first + 1);
}

static size_t edit_distance(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  std::vector<size_t> row(b.size() + 1);  // distances of a's first i characters to prefixes of b
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); i++) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); j++) {
      const size_t replaced = diagonal + (lower(a[i]) != lower(b[j]));
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  std::string best;
  size_t least = std::max<size_t>(2, word.size() / 3) + 1;  // more than a third wrong is no typo
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < least && distance < candidate.size()) least = distance, best = candidate;
  }
  return best;
}

}  // namespace warpbert::io
