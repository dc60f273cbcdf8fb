// Masked-token prediction and sentence swapping (Devlin et al. 2019, §3.1), as pure functions of (seed, epoch, row):
// neither threads, batch size nor order of the rows change what a row looks like in an epoch, and a resumed run masks
// as an uninterrupted one does.
//
// The two sentences of a row trade places with probability `swap`. Each token draws r uniform in [0, 1):
//                                                  with p = 0.15, mask = 0.8, keep = 0.1
//   r < p·mask            becomes [MASK]           0.12
//   r < p·(mask + keep)   stays as it is           0.015
//   r < p                 becomes a random word    0.015, uniform over 7 … V − 1, perhaps the same word again
// and is to be predicted in all three cases. [UNK] takes part like any word; a row may be left without any masked
// token.
#pragma once
#include <cstdint>
#include <span>

#include "options.h"

namespace warpbert {

// Streams of random numbers (`site` of philox.h). Dropout numbers its sites from 0; these begin far above.
namespace site {
constexpr uint32_t masking = 0x80000000u, swapping = 0x80000001u, shuffling = 0x80000002u;
}

class Masking {
 public:
  // Throws std::invalid_argument when a probability is not in [0, 1], mask + keep > 1, or random words are asked for
  // and the vocabulary (its size V, with the special tokens) holds none.
  // predicts = false: masked tokens are noise that nobody has to predict; all targets are 0.
  Masking(MaskOptions options, int vocabulary, uint64_t seed, bool predicts = true);

  bool swaps(uint32_t epoch, uint32_t row) const;

  // tokens: a row's, a then b whether or not they swap; changed in place. targets[i] = the token that stood at i if it
  // is to be predicted, else 0.
  void mask(std::span<int32_t> tokens, std::span<int32_t> targets, uint32_t epoch, uint32_t row) const;

  uint64_t seed() const { return seed_; }

 private:
  uint64_t seed_;
  bool predicts_;
  uint32_t words_;                                             // V − 7
  uint64_t below_mask_, below_keep_, below_all_, below_swap_;  // thresholds in units of 2⁻³²
};

}  // namespace warpbert
