// The model's tokens: seven special ones, then the data's own ids ("cipher ids") from the most frequent on.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "dataset.h"

namespace warpbert {

namespace token {
constexpr int pad = 0, unknown = 1, cls = 2, sep = 3, mask = 4, no = 5, yes = 6;
constexpr int first_word = 7;  // the most frequent cipher id
}  // namespace token

class Vocabulary {
 public:
  // Keeps the cipher ids that occur at least min_count times in `pairs` (training, validation and test rows alike,
  // after truncation), by falling count, equal counts by first appearance.
  Vocabulary(const io::Pairs& pairs, int min_count);

  // The stored vocabulary of a trained model: cipher_ids[i] is token 7 + i.
  // Throws std::invalid_argument when an id is negative or occurs twice.
  explicit Vocabulary(std::vector<int64_t> cipher_ids);

  int size() const { return token::first_word + int(cipher_ids_.size()); }  // V, with the special tokens
  const std::vector<int64_t>& cipher_ids() const { return cipher_ids_; }    // of tokens 7 … V − 1
  int token(int64_t cipher_id) const;                                       // token::unknown when it was not kept
  TokenPairs encode(const io::Pairs& pairs) const;

 private:
  void index();

  std::vector<int64_t> cipher_ids_;
  std::unordered_map<int64_t, int> tokens_;
};

// What a user wants to know about the data before training on it.
struct DataFacts {
  int rows, labelled;
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
