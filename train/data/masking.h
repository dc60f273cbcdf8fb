// Masked-token prediction and sentence swapping (Devlin et al. 2019, §3.1), as pure functions of
// (seed, epoch, row).
//
// A row's sentences are swapped with probability `swap`. Each token draws r uniform in [0, 1):
//                                                  with p = 0.15, mask = 0.8, keep = 0.1
//   r < p·mask            becomes [MASK]           0.12
//   r < p·(mask + keep)   is kept                  0.015
//   r < p                 becomes a random word    0.015, uniform over 7 … V − 1, possibly the same word
// and is predicted in all three cases. [UNK] is an ordinary word.
//
// With `ngram` = w_1, w_2, … spans of n tokens are predicted with probability w_n; each of their tokens is
// masked, kept or replaced independently. A span excludes the token after it, so that spans never touch. It
// needs a sentence of 3n − 2 tokens; longer draws are clipped. A free token starts a span with probability
//
//   q = p / (E·(1 − p)),    E = mean length of the spans of such a sentence
//
// A sentence is a window into an endless one, where (1 − q)/q free tokens on average, E of a span and 1
// excluded token alternate: E / ((1 − q)/q + E + 1) = p. Its first token is inside a span with r tokens left
// with probability (1 − p)·q·P(n >= r), excluded with (1 − p)·q, else free. So p holds at any position and
// length.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "train/config/options.h"

namespace warpbert {

// Random-number streams (`site` in philox.h); dropout's count from 0.
namespace site {
constexpr uint32_t masking = 0x80000000u, swapping = 0x80000001u, shuffling = 0x80000002u;
}

class Masking {
 public:
  // Throws std::invalid_argument if a probability is outside [0, 1], mask + keep > 1, `ngram` does not sum to
  // 1, spans have probability > 1/2, which they cannot reach, or `vocabulary` (V) has no words to draw.
  // predicts = false: masks are input noise, all targets 0.
  Masking(MaskOptions options, int vocabulary, uint64_t seed, bool predicts = true);

  bool swaps(uint32_t epoch, uint32_t row) const;

  // Masks in place. tokens: sentence a (`a` tokens), then b, swapped or not.
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
