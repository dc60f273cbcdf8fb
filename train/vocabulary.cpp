#include "vocabulary.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace warpbert {

Vocabulary::Vocabulary(const io::Pairs& pairs, int min_count) {
  struct Count {
    int64_t id;
    int count;
  };
  std::vector<Count> counts;  // in the order of first appearance
  std::unordered_map<int64_t, size_t> place;
  for (int64_t id : pairs.ids) {
    const auto [found, is_new] = place.try_emplace(id, counts.size());
    if (is_new) counts.push_back({id, 0});
    counts[found->second].count++;
  }
  std::erase_if(counts, [&](const Count& c) { return c.count < min_count; });
  std::stable_sort(counts.begin(), counts.end(), [](const Count& x, const Count& y) { return x.count > y.count; });
  for (const Count& c : counts) cipher_ids_.push_back(c.id);
  index();
}

Vocabulary::Vocabulary(std::vector<int64_t> cipher_ids) : cipher_ids_(std::move(cipher_ids)) { index(); }

void Vocabulary::index() {
  for (int64_t id : cipher_ids_) {
    const int next = token::first_word + int(tokens_.size());
    if (id < 0) throw std::invalid_argument("vocabulary: negative id " + std::to_string(id));
    if (!tokens_.emplace(id, next).second)
      throw std::invalid_argument("vocabulary: id " + std::to_string(id) + " twice");
  }
}

int Vocabulary::token(int64_t cipher_id) const {
  const auto found = tokens_.find(cipher_id);
  return found == tokens_.end() ? token::unknown : found->second;
}

TokenPairs Vocabulary::encode(const io::Pairs& pairs) const {
  TokenPairs encoded;
  encoded.starts = pairs.starts;
  encoded.tokens.reserve(pairs.ids.size());
  for (int64_t id : pairs.ids) encoded.tokens.push_back(token(id));
  return encoded;
}

DataFacts describe(const io::Pairs& pairs, const Vocabulary& vocabulary) {
  DataFacts facts{};
  facts.rows = int(pairs.size());
  facts.words = int64_t(pairs.ids.size());
  if (!facts.rows) return facts;

  std::unordered_map<int64_t, bool> known;
  int64_t unknown = 0;
  for (int64_t id : pairs.ids) {
    const bool kept = vocabulary.token(id) != token::unknown;
    unknown += !kept;
    known.emplace(id, kept);
  }
  facts.unknown_share = double(unknown) / double(facts.words);
  facts.distinct = int(known.size());
  for (const auto& [id, kept] : known) facts.dropped += !kept;

  std::vector<int> lengths;
  for (size_t row = 0; row < pairs.size(); row++) {
    facts.labelled += pairs.labelled(row);
    lengths.push_back(int(pairs.starts[2 * row + 2] - pairs.starts[2 * row]) + 3);
  }
  std::sort(lengths.begin(), lengths.end());
  const auto percentile = [&](size_t percent) { return lengths[(percent * lengths.size() + 99) / 100 - 1]; };
  facts.mean_length = double(facts.words) / facts.rows + 3;
  facts.p50 = percentile(50), facts.p90 = percentile(90), facts.p99 = percentile(99), facts.longest = percentile(100);
  facts.lengths.resize(facts.longest + 1);
  for (int length : lengths) facts.lengths[length]++;
  return facts;
}

}  // namespace warpbert
