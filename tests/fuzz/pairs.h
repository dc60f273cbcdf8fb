// Shared by the targets of sentence pairs.
#pragma once
#include <algorithm>
#include <optional>

#include "fuzz.h"
#include "io/tsv.h"

namespace warpbert::fuzz {

inline bool equal(const io::Pairs& a, const io::Pairs& b) {
  return a.ids == b.ids && a.starts == b.starts && a.labels == b.labels;
}

inline void require_sound(const io::Pairs& pairs) {
  require(pairs.starts.size() == 2 * pairs.size() + 1 && pairs.starts.front() == 0 &&
              pairs.starts.back() == pairs.ids.size(),
          "sentences do not cover the ids");
  for (size_t s = 1; s < pairs.starts.size(); s++)
    require(pairs.starts[s - 1] < pairs.starts[s], "a sentence is empty");
  for (const int64_t id : pairs.ids) require(id >= 0, "an id is negative");
  for (const float label : pairs.labels)
    require(label == io::no_label || (label >= 0 && label <= 1), "a label is outside [0, 1]");
}

// Reads the input as a file, as pieces of `piece` bytes, and line by line with gaps: the rows are the same.
// nullopt: no rows, or an error.
inline std::optional<io::Pairs> read_in_all_ways(std::string_view text, size_t piece,
                                                 io::WordPiece* tokenizer) {
  const std::string path = write("in.tsv", text);
  std::optional<io::Pairs> pairs;
  accepts(path, [&] { pairs = io::read_pairs(path, tokenizer); });
  if (pairs) require_sound(*pairs);
  if (text.starts_with("\x1f\x8b")) return pairs;  // gzip: the bytes are no lines

  std::optional<io::Pairs> parsed;
  accepts("in memory", [&] { parsed = io::parse_pairs(text, "in memory", tokenizer); });
  require(pairs.has_value() == parsed.has_value() && (!pairs || equal(*pairs, *parsed)),
          "a file and its text have other rows");
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  const auto tokenizers = tokenizer ? std::vector{tokenizer} : std::vector<io::WordPiece*>();
  if (pairs) {
    io::PairReader reader("pieces", tokenizers);
    for (size_t i = 0; i < text.size(); i += piece) reader.add(text.substr(i, piece));
    reader.finish();
    require(equal(*pairs, reader.take(text.size() + 1).pairs[0]), "pieces of a file have other rows");
    std::vector<float> labels;
    accepts(path, [&] { labels = io::read_labels(path); });
    require(labels == pairs->labels, "labels alone differ from those of the rows");
  }

  io::PairReader reader("with gaps", tokenizers, true);
  reader.add(text);
  if (accepts("with gaps", [&] { reader.finish(); })) {
    const size_t lines =
        size_t(std::count(text.begin(), text.end(), '\n')) + (!text.empty() && text.back() != '\n');
    require(reader.size() == lines, fmt::format("{} lines became {} rows and gaps", lines, reader.size()));
    const io::PairLines taken = reader.take(lines);
    require_sound(taken.pairs[0]);
    if (pairs) require(equal(*pairs, taken.pairs[0]), "rows with gaps allowed differ from those without");
  }
  return pairs;
}

}  // namespace warpbert::fuzz
