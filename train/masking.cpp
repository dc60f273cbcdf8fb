#include "masking.h"

#include <stdexcept>

#include "kernels/philox.h"
#include "vocabulary.h"

namespace warpbert {

static uint64_t threshold(double probability) { return uint64_t(probability * 4294967296.0); }

Masking::Masking(MaskOptions options, int vocabulary, uint64_t seed, bool predicts) : seed_(seed), predicts_(predicts) {
  for (double p : {options.probability, options.mask, options.keep, options.swap})
    if (!(p >= 0 && p <= 1)) throw std::invalid_argument("masking: a probability outside [0, 1]");
  const double known = options.mask + options.keep;  // the rest become random words
  if (known > 1) throw std::invalid_argument("masking: mask + keep is above 1");
  if (options.probability > 0 && known < 1 && vocabulary <= token::first_word)
    throw std::invalid_argument("masking: the vocabulary has no words to draw from; is min_count too high?");
  words_ = uint32_t(vocabulary - token::first_word);
  below_mask_ = threshold(options.probability * options.mask);
  below_keep_ = threshold(options.probability * known);
  below_all_ = threshold(options.probability);
  below_swap_ = threshold(options.swap);
}

bool Masking::swaps(uint32_t epoch, uint32_t row) const {
  return random4(seed_, epoch, site::swapping, row).v[0] < below_swap_;
}

void Masking::mask(std::span<int32_t> tokens, std::span<int32_t> targets, uint32_t epoch, uint32_t row) const {
  for (size_t i = 0; i < tokens.size(); i++) {
    const Random4 random = random4(seed_, epoch, site::masking, uint64_t(row) << 32 | i);
    const uint32_t r = random.v[0];
    targets[i] = predicts_ && r < below_all_ ? tokens[i] : 0;
    if (r < below_mask_) {
      tokens[i] = token::mask;
    } else if (r >= below_keep_ && r < below_all_) {
      tokens[i] = token::first_word + int32_t(multiply_high(random.v[1], words_));  // uniform to words/2³²
    }
  }
}

}  // namespace warpbert
