// Text files and what messages and parsers say about their contents.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace warpbert::io {

// The file, or its first bytes; "-" is standard input. Refuses a missing file, a folder, an unreadable file,
// each with its path.
std::string read_file(const std::string& path, size_t longest = std::string::npos);

// `text` in quotes, cut to 40 bytes, with control characters escaped: a file may hold anything, a terminal should not.
std::string quote(std::string_view text);

// `text` without white space at either end.
std::string_view strip(std::string_view text);

// The candidate with the smallest edit distance to `word` (case ignored), or "" if none is close enough to be a slip.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace warpbert::io
