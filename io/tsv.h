// Sentence pairs, one per line: `ids<TAB>ids[<TAB>label]`, ids separated by single spaces; or plain text to
// tokenize, `sentence<TAB>sentence[<TAB>label]`.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace warpbert::io {

class WordPiece;

inline constexpr float no_label = -1;

struct Pairs {
  std::vector<int64_t> ids;          // all sentences back to back: a of row 0, b of row 0, a of row 1, …
  std::vector<size_t> starts = {0};  // [2·rows + 1]: sentence s is ids[starts[s] … starts[s + 1])
  std::vector<float> labels;         // [rows], in [0, 1], or no_label

  size_t size() const { return labels.size(); }
  bool labelled(size_t row) const { return labels[row] != no_label; }
  size_t count_labelled() const;
  std::span<const int64_t> a(size_t row) const { return sentence(2 * row); }
  std::span<const int64_t> b(size_t row) const { return sentence(2 * row + 1); }

 private:
  std::span<const int64_t> sentence(size_t s) const {
    return {ids.data() + starts[s], starts[s + 1] - starts[s]};
  }
};

// Throws Error with file and line for: an id that is not a non-negative integer, a label outside [0, 1], an
// empty sentence, a blank line between rows, one column or more than three; with the file: no rows. "-" reads
// standard input. With a tokenizer, sentences are plain text; invalid UTF-8 and sentences without tokens
// throw, too.
Pairs read_pairs(const std::string& path, WordPiece* tokenizer = nullptr);

// Parses text in memory; messages use `name` for the file.
Pairs parse_pairs(std::string_view text, const std::string& name, WordPiece* tokenizer = nullptr);

}  // namespace warpbert::io
