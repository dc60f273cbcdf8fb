// Model tokens: seven special ones, then the dataset token ids (`dataset_ids`), most frequent first.
#pragma once
#include <array>
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
constexpr int first_word = 7;  // the most frequent dataset token id
constexpr std::array<const char*, first_word> special = {"[PAD]",  "[UNK]", "[CLS]", "[SEP]",
                                                         "[MASK]", "[NO]",  "[YES]"};
}  // namespace token

// WordPiece vocabulary of plain text; a token's index is its dataset token id.
struct TextVocabulary {
  std::vector<std::string> tokens;  // vocab.txt
  bool lowercase = true;
  bool operator==(const TextVocabulary&) const = default;
};

class Vocabulary {
 public:
  // Keeps ids that occur at least min_count times in `pairs`, by descending count, then first appearance.
  // Throws io::Error if none does.
  Vocabulary(const io::Pairs& pairs, int min_count);

  // dataset_ids[i] is token 7 + i. Throws std::invalid_argument for a negative or repeated id.
  explicit Vocabulary(std::vector<int64_t> dataset_ids);

  // Plain text: all tokens of vocab.txt in order, except special ones; [NO] and [YES] are ordinary text.
  // Throws io::Error naming `path` if one of BERT's five special tokens is missing.
  Vocabulary(TextVocabulary text, const std::string& path);

  int size() const { return token::first_word + int(dataset_ids_.size()); }  // V
  const std::vector<int64_t>& dataset_ids() const { return dataset_ids_; }   // of tokens 7 … V − 1
  int token(int64_t dataset_id) const;                                       // token::unknown if not kept
  TokenPairs encode(const io::Pairs& pairs) const;
  const std::optional<TextVocabulary>& text() const { return text_; }  // nullopt: texts are ids
  bool operator==(const Vocabulary& other) const {
    return dataset_ids_ == other.dataset_ids_ && text_ == other.text_;
  }

 private:
  void index();

  std::vector<int64_t> dataset_ids_;
  std::unordered_map<int64_t, int> tokens_;
  std::optional<TextVocabulary> text_;
};

// Arrays `vocab/cipher_ids` int64; for plain text also `vocab/wordpiece` uint8, each token and a line feed,
// and `vocab/lowercase` uint8 [1].
class VocabularyArrays {
 public:
  // `vocabulary` must outlive this object, and this object its views.
  explicit VocabularyArrays(const Vocabulary& vocabulary);
  std::vector<io::ArrayView> views() const;

 private:
  const Vocabulary& vocabulary_;
  std::vector<uint8_t> text_, lowercase_;
};

// nullopt if the file has none. Throws io::Error if it is damaged.
std::optional<Vocabulary> load_vocabulary(io::Archive& archive);
std::optional<TextVocabulary> load_text_vocabulary(io::Archive& archive);

struct DatasetStatistics {
  int rows;
  int64_t words;          // tokens, special ones excluded
  double unknown_share;   // of words
  int distinct, dropped;  // dataset token ids; dropped: not in the vocabulary
  // Lengths of [CLS] a [SEP] b [SEP], in tokens; pP: P-th percentile by nearest rank.
  double mean_length;
  int p50, p99, longest;
  std::vector<long> lengths;  // [n]: rows of length n
};
DatasetStatistics describe(const io::Pairs& pairs, const Vocabulary& vocabulary);

}  // namespace warpbert
