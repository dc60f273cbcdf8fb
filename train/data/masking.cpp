#include "masking.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "engine/random.h"
#include "vocabulary.h"

namespace warpbert {

static uint64_t threshold(double probability) { return uint64_t(probability * 4294967296.0); }

Masking::Masking(MaskOptions options, int vocabulary, uint64_t seed, bool predicts)
    : seed_(seed), predicts_(predicts) {
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

  double sum = 0;
  for (double& share : options.ngram) {
    if (!(share >= 0 && share <= 1)) throw std::invalid_argument("masking: a probability outside [0, 1]");
    sum += share;
  }
  if (!(std::abs(sum - 1) < 1e-6))
    throw std::invalid_argument("masking: the probabilities of span lengths sum not to 1");
  while (options.ngram.back() == 0) options.ngram.pop_back();
  if (options.ngram.size() == 1) return;  // single tokens
  if (options.probability > 0.5)
    throw std::invalid_argument("masking: spans cannot cover more than half of the tokens");
  for (size_t longest = 1; longest <= options.ngram.size(); longest++)
    spans_.push_back(spans(options.ngram, longest, options.probability));
  below_mask_ = threshold(options.mask), below_keep_ = threshold(known);  // of predicted tokens
}

Masking::Spans Masking::spans(const std::vector<double>& ngram, size_t longest, double probability) const {
  std::vector<double> at_least(longest);  // [r − 1]: P(n >= r), clipped
  for (size_t r = 0; r < longest; r++)
    at_least[r] = std::accumulate(ngram.begin() + long(r), ngram.end(), 0.);
  const double mean = std::accumulate(at_least.begin(), at_least.end(), 0.);
  const double start = probability / (mean * (1 - probability));

  Spans spans{threshold(start), {}, {}};
  double below = (1 - probability) * start;
  spans.first.push_back(threshold(below));
  for (size_t r = 0; r < longest; r++) {
    spans.first.push_back(threshold(below += (1 - probability) * start * at_least[r]));
    spans.length.push_back(threshold(r + 1 < longest ? 1 - at_least[r + 1] : 1));
  }
  return spans;
}

bool Masking::swaps(uint32_t epoch, uint32_t row) const {
  return random4(seed_, epoch, site::swapping, row).v[0] < below_swap_;
}

void Masking::mask(std::span<int32_t> tokens, std::span<int32_t> targets, size_t a, uint32_t epoch,
                   uint32_t row) const {
  const uint64_t first = uint64_t(row) << 32;
  if (!spans_.empty()) {
    mask_spans(tokens.first(a), targets.first(a), epoch, first);
    mask_spans(tokens.subspan(a), targets.subspan(a), epoch, first + a);
  }
  for (size_t i = 0; spans_.empty() && i < tokens.size(); i++) {
    const Random4 random = random4(seed_, epoch, site::masking, first | i);
    const uint32_t r = random.v[0];
    targets[i] = r < below_all_ ? tokens[i] : 0;
    if (r < below_mask_) {
      tokens[i] = token::mask;
    } else if (r >= below_keep_ && r < below_all_) {
      tokens[i] = token::first_word + int32_t(multiply_high(random.v[1], words_));  // bias below words/2³²
    }
  }
  if (!predicts_) std::fill(targets.begin(), targets.end(), 0);
}

// First i with r < thresholds[i], or thresholds.size().
static int draw(uint32_t r, const std::vector<uint64_t>& thresholds) {
  return int(std::upper_bound(thresholds.begin(), thresholds.end(), r) - thresholds.begin());
}

// Masks one sentence, with random elements from `element` on.
void Masking::mask_spans(std::span<int32_t> tokens, std::span<int32_t> targets, uint32_t epoch,
                         uint64_t element) const {
  const size_t longest = std::clamp<size_t>((tokens.size() + 2) / 3, 1, spans_.size());
  const Spans& spans = spans_[longest - 1];
  int left = -1;  // span tokens left, this one included; 0: excluded, −1: free
  for (size_t i = 0; i < tokens.size(); i++, left = std::max(left - 1, -1)) {
    const auto [r, word, length, fate] = random4(seed_, epoch, site::masking, element + i).v;
    if (i == 0) left = r < spans.first.back() ? draw(r, spans.first) : -1;
    else if (left < 0 && r < spans.start) left = 1 + draw(length, spans.length);
    targets[i] = left > 0 ? tokens[i] : 0;
    if (left <= 0) continue;
    if (fate < below_mask_) tokens[i] = token::mask;
    else if (fate >= below_keep_) tokens[i] = token::first_word + int32_t(multiply_high(word, words_));
  }
}

}  // namespace warpbert
