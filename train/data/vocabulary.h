// The model's tokens: seven special ones, then the data's own ids ("cipher ids") from the most frequent on.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataset.h"
#include "io/array.h"
#include "io/wordpiece.h"

namespace warpbert {

namespace token {
constexpr int pad = 0, unknown = 1, cls = 2, sep = 3, mask = 4, no = 5, yes = 6;
constexpr int first_word = 7;  // the most frequent cipher id
}  // namespace token

// What a model of clear text cuts it by (data.text): a word's cipher id is its place in `tokens`.
struct TextVocabulary {
  std::vector<std::string> tokens;  // vocab.txt
  bool lowercase = true;
  bool operator==(const TextVocabulary&) const = default;
};

class Vocabulary {
 public:
  // Keeps the cipher ids that occur at least min_count times in `pairs` (training, validation and test rows alike,
  // after truncation), by falling count, equal counts by first appearance. Throws io::Error if none does.
  Vocabulary(const io::Pairs& pairs, int min_count);

  // The stored vocabulary of a trained model: cipher_ids[i] is token 7 + i.
  // Throws std::invalid_argument when an id is negative or occurs twice.
  explicit Vocabulary(std::vector<int64_t> cipher_ids);

  // Of clear text: all tokens in their order, whether the data has them or not, but for the special ones. Special
  // tokens written in a text are the model's own; [NO] and [YES] cannot be written. Throws io::Error naming `path`
  // where one of the five that every BERT has is missing.
  Vocabulary(TextVocabulary text, const std::string& path);

  int size() const { return token::first_word + int(cipher_ids_.size()); }  // V, with the special tokens
  const std::vector<int64_t>& cipher_ids() const { return cipher_ids_; }    // of tokens 7 … V − 1
  int token(int64_t cipher_id) const;                                       // token::unknown when it was not kept
  TokenPairs encode(const io::Pairs& pairs) const;
  const std::optional<TextVocabulary>& text() const { return text_; }  // none: the texts are ids
  bool operator==(const Vocabulary& other) const { return cipher_ids_ == other.cipher_ids_ && text_ == other.text_; }

 private:
  void index();

  std::vector<int64_t> cipher_ids_;
  std::unordered_map<int64_t, int> tokens_;
  std::optional<TextVocabulary> text_;
};

// A vocabulary as arrays of a model file: `vocab/cipher_ids` int64; of clear text also `vocab/wordpiece` uint8, the
// tokens, each with a line feed behind it, and `vocab/lowercase` uint8 [1].
class VocabularyArrays {
 public:
  explicit VocabularyArrays(const Vocabulary& vocabulary);  // which must outlive it, as it must outlive the views
  std::vector<io::ArrayView> views() const;

 private:
  const Vocabulary& vocabulary_;
  std::vector<uint8_t> text_, lowercase_;
};

// The vocabulary of a model file, or none. io::Error for one that is damaged.
std::optional<Vocabulary> load_vocabulary(io::Archive& archive);
std::optional<TextVocabulary> load_text_vocabulary(io::Archive& archive);

// What a user wants to know about the data before training on it.
struct DataFacts {
  int rows;
  int64_t words;          // tokens without specials
  double unknown_share;   // of words
  int distinct, dropped;  // cipher ids in the data, and those of them that are not in the vocabulary
  // Lengths of [CLS] a [SEP] b [SEP]. pP: the smallest length that at least P % of the rows do not exceed.
  double mean_length;
  int p50, p90, p99, longest;
  std::vector<long> lengths;  // [n]: rows of length n
};
DataFacts describe(const io::Pairs& pairs, const Vocabulary& vocabulary);

}  // namespace warpbert
