// Masked-token prediction and sentence swapping (Devlin et al. 2019, §3.1), as pure functions of
// (seed, epoch, row). They do not depend on threads, batch size, row order or interruptions.
//
// The sentences of a row are swapped with probability `swap`. Each token draws r uniform in [0, 1):
//                                                  with p = 0.15, mask = 0.8, keep = 0.1
//   r < p·mask            becomes [MASK]           0.12
//   r < p·(mask + keep)   is kept                  0.015
//   r < p                 becomes a random word    0.015, uniform over 7 … V − 1, possibly the same word
// and is predicted in all three cases. [UNK] is treated like a word; a row may have no masked token.
//
// With `ngram` = w_1, w_2, … spans are predicted, of n tokens with probability w_n. Each token of a span is
// masked, kept or replaced independently. A span is inside one sentence, and the token after it is excluded,
// so that spans never touch. Spans of n tokens need a sentence of 3n − 2 (two: 4, three: 7); longer draws are
// clipped to what the sentence allows. A free token starts a span with probability
//
//   q = p / (E·(1 − p)),    E = mean length of the spans of such a sentence
//
// In an endless sentence, a span of E tokens follows (1 − q)/q free tokens on average, and 1 token after it
// is excluded. The predicted share is then E / ((1 − q)/q + E + 1) = p. A sentence is a window into an
// endless one, which may cut spans at both ends. Its first token is inside a span with r tokens left with
// probability (1 − p)·q·P(n >= r), excluded with (1 − p)·q, else free. So every token is predicted with
// probability p, at any position and sentence length.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "train/config/options.h"

namespace warpbert {

// Random-number streams (`site` in philox.h), far above dropout's, which count from 0.
namespace site {
constexpr uint32_t masking = 0x80000000u, swapping = 0x80000001u, shuffling = 0x80000002u;
}

class Masking {
 public:
  // Throws std::invalid_argument if a probability is outside [0, 1], mask + keep > 1, or `ngram` does not
  // sum to 1. Also throws for spans with probability > 1/2, which they cannot reach, and for random words if
  // the vocabulary (size V includes special tokens) has none.
  // predicts = false: masks are input noise, all targets 0.
  Masking(MaskOptions options, int vocabulary, uint64_t seed, bool predicts = true);

  bool swaps(uint32_t epoch, uint32_t row) const;

  // Masks a row in place. tokens: sentence a (`a` tokens), then b, whether or not they swap.
  // targets[i] = the original token if predicted, else 0.
  void mask(std::span<int32_t> tokens, std::span<int32_t> targets, size_t a, uint32_t epoch,
            uint32_t row) const;

  uint64_t seed() const { return seed_; }

 private:
  // Thresholds for sentences that allow spans of up to length.size() tokens.
  struct Spans {
    uint64_t start;                // a free token starts a span
    std::vector<uint64_t> length;  // [n − 1]: a span has at most n tokens
    std::vector<uint64_t> first;   // [r]: the first token has at most r span tokens left; 0: excluded
  };
  Spans spans(const std::vector<double>& ngram, size_t longest, double probability) const;
  void mask_spans(std::span<int32_t> tokens, std::span<int32_t> targets, uint32_t epoch,
                  uint64_t element) const;

  uint64_t seed_;
  bool predicts_;
  uint32_t words_;                                             // V − 7
  uint64_t below_mask_, below_keep_, below_all_, below_swap_;  // thresholds in units of 2⁻³²
  std::vector<Spans> spans_;                                   // [longest − 1]; empty: single tokens
};

}  // namespace warpbert
