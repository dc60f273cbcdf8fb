// BERT's tokenizer: text to the tokens of a vocab.txt (WordPiece; Devlin et al. 2018, Wu et al. 2016).
//
// Equal to the "fast" tokenizers of the library `tokenizers` (BertWordPieceTokenizer, transformers' BertTokenizer),
// which differ from Google's Python in corners: spaces are put around ideographs before accents are stripped, a capital
// sigma becomes σ wherever it stands, and special tokens are found before control characters are dropped.
//   1. [PAD], [UNK], [CLS], [SEP] and [MASK] written in the text are those tokens.
//   2. Control characters and U+FFFD are dropped; white space separates words, and every CJK ideograph is a word.
//   3. In lower case: canonical decomposition (NFD), nonspacing marks are dropped, then lower case, a character at a
//      time.
//   4. Every punctuation character is a word: ASCII's, symbols such as $ and ~ included, and Unicode's categories P*.
//   5. A word is cut greedily into the longest tokens, all but the first with "##" in front; [UNK] where that fails,
//      and for words of more than 100 characters.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace warpbert::io {

// vocab.txt: the token at the start of line i is id i. Throws io::Error for an empty line or a token twice.
std::vector<std::string> read_vocab(const std::string& path);

// Where the first byte is that belongs to no well-formed UTF-8 character; npos: all of it is UTF-8.
size_t find_malformed_utf8(std::string_view text);

// Not for several threads at once, for it remembers words: a copy for each.
class WordPiece {
 public:
  // The ids below are those of `vocab` ("special tokens first" is not needed). Throws io::Error naming `path`, the file
  // it comes from, for a token that is no UTF-8 and for special tokens it lacks.
  WordPiece(const std::vector<std::string>& vocab, const std::string& path, bool lowercase);

  // Appends the ids of `text`, which must be UTF-8, to `ids`. No [CLS] or [SEP] is added.
  void encode(std::string_view text, std::vector<int>& ids);

  // Ids of [PAD], [UNK], [CLS], [SEP], [MASK].
  const std::array<int, 5>& special() const { return special_; }
  static constexpr std::array<std::string_view, 5> special_tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  template <class Value>
  using Map = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

  void encode_ordinary(std::string_view text, std::vector<int>& ids);  // without special tokens
  void encode_chunk(std::string_view chunk, std::vector<int>& ids);    // without ASCII's white space
  void encode_word(std::string_view word, std::vector<int>& ids) const;

  bool lowercase_;
  std::array<int, 5> special_;
  Map<int> first_, further_;  // tokens without "##", and those with it, it taken off
  size_t longest_ = 0;        // bytes of a token
  Map<std::vector<int>> known_;
};

}  // namespace warpbert::io
