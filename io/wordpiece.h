// BERT's WordPiece tokenizer over a vocab.txt (Devlin et al. 2018, Wu et al. 2016).
//
// Matches `tokenizers` (BertWordPieceTokenizer, transformers' BertTokenizer), not Google's Python: ideographs
// get spaces before accents are stripped, a capital sigma always becomes σ, and special tokens are found
// before control characters are dropped.
//   1. [PAD], [UNK], [CLS], [SEP] and [MASK] in the text are those tokens.
//   2. Control characters and U+FFFD are dropped; white space separates words; every CJK ideograph is a word.
//   3. Lower case: canonical decomposition (NFD), nonspacing marks dropped, then each character lowered.
//   4. Every punctuation character is a word: ASCII's, with symbols such as $ and ~, and Unicode's P*.
//   5. A word is split greedily into the longest tokens, all but the first with "##" in front; [UNK] if that
//      fails, or beyond 100 characters.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "vocab.h"

namespace warpbert::io {

// Returns the offset of the first malformed sequence, or npos.
size_t find_malformed_utf8(std::string_view text);

// Step 3 of UTF-8 text.
std::string lowercase_text(std::string_view text);

// Caches words: not thread-safe, one copy per thread.
class WordPiece {
 public:
  // Ids are indices in `vocab`. Throws io::Error naming `path` for a token that is not UTF-8 or a missing
  // special token.
  WordPiece(const std::vector<std::string>& vocab, const std::string& path, bool lowercase);

  // Appends the ids of UTF-8 text, without [CLS] or [SEP].
  void encode(std::string_view text, std::vector<int>& ids);

  const std::array<int, 5>& special() const { return special_; }
  static constexpr std::array<std::string_view, 5> special_tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]",
                                                                     "[MASK]"};

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  template <class Value>
  using Map = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

  void encode_ordinary(std::string_view text, std::vector<int>& ids);  // no special tokens
  void encode_chunk(std::string_view chunk, std::vector<int>& ids);    // no ASCII white space
  void encode_word(std::string_view word, std::vector<int>& ids) const;

  bool lowercase_;
  std::array<int, 5> special_;
  Map<int> first_, further_;  // tokens without "##"; with it, "##" removed
  size_t longest_ = 0;        // bytes
  Map<std::vector<int>> known_;
};

}  // namespace warpbert::io
