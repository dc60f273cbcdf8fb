// Masked-token prediction and sentence swapping (Devlin et al. 2019, §3.1), as pure functions of (seed, epoch, row):
// neither threads, batch size nor order of the rows change what a row looks like in an epoch, and a resumed run masks
// as an uninterrupted one does.
//
// The two sentences of a row trade places with probability `swap`. Each token draws r uniform in [0, 1):
//                                                  with p = 0.15, mask = 0.8, keep = 0.1
//   r < p·mask            becomes [MASK]           0.12
//   r < p·(mask + keep)   stays as it is           0.015
//   r < p                 becomes a random word    0.015, uniform over 7 … V − 1, perhaps the same word again
// and is to be predicted in all three cases. [UNK] takes part like any word;
// a row may be left without any masked token.
//
// With `ngram` = w_1, w_2, … spans of tokens are predicted, of n tokens with probability w_n; each token of a span
// still becomes [MASK], stays or is replaced by a draw of its own. A span lies in one sentence; the token behind it is
// left out, so that two spans never touch; and spans of n tokens need a sentence of 3n − 2 (two: 4, three: 7), else the
// longest that the sentence allows is taken. A free token starts a span with probability
//
//   q = p / (E·(1 − p)),    E = mean length of the spans of such a sentence
//
// for then, of an endless sentence, the share E / ((1 − q)/q + E + 1) = p is predicted: (1 − q)/q free tokens on
// average, E of the span, 1 left out. A sentence is a window into that endless one: its first token is inside a span
// with r tokens left with probability (1 − p)·q·P(n >= r), is left out with (1 − p)·q, else free. So every token is
// predicted with probability p, wherever it stands and however long the sentence;
// spans are cut at either end of the window.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "train/config/options.h"

namespace warpbert {

// Streams of random numbers (`site` of philox.h). Dropout numbers its sites from 0; these begin far above.
namespace site {
constexpr uint32_t masking = 0x80000000u, swapping = 0x80000001u, shuffling = 0x80000002u;
}

class Masking {
 public:
  // Throws std::invalid_argument when a probability is not in [0, 1], mask + keep > 1, random words are asked for
  // and the vocabulary (its size V, with the special tokens) holds none, `ngram` does not sum to 1, or spans are asked
  // for with a probability above 1/2, which they cannot reach.
  // predicts = false: masked tokens are noise that nobody has to predict; all targets are 0.
  Masking(MaskOptions options, int vocabulary, uint64_t seed, bool predicts = true);

  bool swaps(uint32_t epoch, uint32_t row) const;

  // tokens: a row's, a then b whether or not they swap; `a` of them are the first sentence; changed in place.
  // targets[i] = the token that stood at i if it is to be predicted, else 0.
  void mask(std::span<int32_t> tokens, std::span<int32_t> targets, size_t a, uint32_t epoch, uint32_t row) const;

  uint64_t seed() const { return seed_; }

 private:
  // Thresholds for sentences in which spans of up to `length.size()` tokens are allowed.
  struct Spans {
    uint64_t start;                // a free token starts a span
    std::vector<uint64_t> length;  // [n − 1]: of at most n tokens
    std::vector<uint64_t> first;   // [r]: the first token has at most r tokens of a span left, 0: is left out
  };
  Spans spans(const std::vector<double>& ngram, size_t longest, double probability) const;
  void mask_spans(std::span<int32_t> tokens, std::span<int32_t> targets, uint32_t epoch, uint64_t element) const;

  uint64_t seed_;
  bool predicts_;
  uint32_t words_;                                             // V − 7
  uint64_t below_mask_, below_keep_, below_all_, below_swap_;  // thresholds in units of 2⁻³²
  std::vector<Spans> spans_;                                   // [longest − 1]; empty: single tokens
};

}  // namespace warpbert
