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
  std::vector<int64_t> ids;          // a of row 0, b of row 0, a of row 1, …
  std::vector<size_t> starts = {0};  // [2·rows + 1]: sentence s is ids[starts[s] … starts[s + 1])
  std::vector<float> labels;         // [rows], in [0, 1], or no_label

  size_t size() const { return labels.size(); }
  size_t count_labelled() const;
  std::span<const int64_t> a(size_t row) const { return sentence(2 * row); }
  std::span<const int64_t> b(size_t row) const { return sentence(2 * row + 1); }
  void resize(size_t rows);

 private:
  std::span<const int64_t> sentence(size_t s) const {
    return {ids.data() + starts[s], starts[s + 1] - starts[s]};
  }
};

// Consecutive lines: rows and, with `skip_bad`, gaps.
struct PairLines {
  std::vector<Pairs> pairs;  // one per tokenizer, one for ids; equal rows and labels
  std::vector<size_t> gaps;  // ascending indices of the other lines

  size_t size() const { return pairs[0].size() + gaps.size(); }
};

// Reads rows as their bytes arrive. Warns on stderr of a header line, ids or quoted cells instead of text,
// and rows that look like halves of one.
class PairReader {
 public:
  // No tokenizers: ids. A null tokenizer: sentences must be there, and are not read. Messages call the file
  // `name`. `skip_bad`: a line that is no row becomes a gap and a warning.
  explicit PairReader(std::string name, std::vector<WordPiece*> tokenizers = {}, bool skip_bad = false);

  // Both throw Error with file and line for: ids that are no non-negative integers, labels outside [0, 1],
  // empty sentences, blank lines between rows, one column or more than three, cells with a line break; with
  // tokenizers also invalid UTF-8 and sentences without tokens. Earlier rows stay.
  void add(std::string_view bytes);
  void finish();  // throws Error also for a file without rows

  size_t size() const { return lines_.size(); }  // lines not yet taken
  PairLines take(size_t most);

 private:
  struct Row;
  void line(std::string_view text);
  void append(const Row& row);
  void observe(const Row& row);
  void refuse_continuation(const Row& row);
  void skip(int64_t line, const std::string& why);

  std::string name_;
  std::vector<WordPiece*> tokenizers_;
  bool skip_bad_;
  std::string unfinished_;
  int64_t line_ = 0;   // current
  int64_t blank_ = 0;  // first of the blank lines before it, allowed at the end only
  PairLines lines_;

  // For warnings.
  int64_t labelled_ = 0, unlabelled_ = 0;  // rows
  int64_t last_unlabelled_ = -1;           // line
  int64_t last_open_quote_ = -1;           // line; its last column opens a quote
  int64_t halves_ = 0, first_half_ = 0;    // rows that look like the rest of the row before; line
  bool only_numbers_, only_quoted_;        // sentences
};

// "-" is standard input. Throw Error as PairReader does.
Pairs read_pairs(const std::string& path, WordPiece* tokenizer = nullptr);
PairLines read_pairs(const std::string& path, const std::vector<WordPiece*>& tokenizers, bool skip_bad);

// Labels alone, of ids or plain text. Throws as read_pairs does, but not for what a sentence holds.
std::vector<float> read_labels(const std::string& path);

Pairs parse_pairs(std::string_view text, const std::string& name, WordPiece* tokenizer = nullptr);

}  // namespace warpbert::io
