#include "vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "io/error.h"

namespace warpbert {

Vocabulary::Vocabulary(const io::Pairs& pairs, int min_count) {
  struct Count {
    int64_t id;
    int count;
  };
  std::vector<Count> counts;  // by first appearance
  std::unordered_map<int64_t, size_t> place;
  for (int64_t id : pairs.ids) {
    const auto [found, is_new] = place.try_emplace(id, counts.size());
    if (is_new) counts.push_back({id, 0});
    counts[found->second].count++;
  }
  std::erase_if(counts, [&](const Count& c) { return c.count < min_count; });
  if (counts.empty())
    io::fail(
        "no id of the data occurs data.min_count (= {}) times, so no vocabulary can be made; lower "
        "data.min_count",
        min_count);
  std::stable_sort(counts.begin(), counts.end(),
                   [](const Count& x, const Count& y) { return x.count > y.count; });
  for (const Count& c : counts) dataset_ids_.push_back(c.id);
  index();
}

Vocabulary::Vocabulary(std::vector<int64_t> dataset_ids) : dataset_ids_(std::move(dataset_ids)) { index(); }

Vocabulary::Vocabulary(TextVocabulary text, const std::string& path) : text_(std::move(text)) {
  const auto special = io::WordPiece(text_->tokens, path, text_->lowercase).special();
  for (size_t id = 0; id < text_->tokens.size(); id++) {
    const std::string& token = text_->tokens[id];
    if (std::find(special.begin(), special.end(), int(id)) == special.end() && token != "[NO]" &&
        token != "[YES]")
      dataset_ids_.push_back(int64_t(id));
  }
  index();
  for (size_t i = 0; i < special.size(); i++) tokens_.emplace(special[i], int(i));
}

void Vocabulary::index() {
  for (int64_t id : dataset_ids_) {
    const int next = token::first_word + int(tokens_.size());
    if (id < 0) throw std::invalid_argument(fmt::format("vocabulary: negative id {}", id));
    if (!tokens_.emplace(id, next).second)
      throw std::invalid_argument(fmt::format("vocabulary: id {} twice", id));
  }
}

int Vocabulary::token(int64_t dataset_id) const {
  const auto found = tokens_.find(dataset_id);
  return found == tokens_.end() ? token::unknown : found->second;
}

TokenPairs Vocabulary::encode(const io::Pairs& pairs) const {
  TokenPairs encoded;
  encoded.starts = pairs.starts;
  encoded.tokens.reserve(pairs.ids.size());
  for (int64_t id : pairs.ids) encoded.tokens.push_back(token(id));
  return encoded;
}

// ---- In files ---------------------------------------------------------------------------------------------

namespace {
constexpr const char *ids_name = "vocab/cipher_ids", *text_name = "vocab/wordpiece",
                     *lowercase_name = "vocab/lowercase";
}

VocabularyArrays::VocabularyArrays(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
  if (!vocabulary.text()) return;
  for (const std::string& token : vocabulary.text()->tokens) {
    text_.insert(text_.end(), token.begin(), token.end());
    text_.push_back('\n');
  }
  lowercase_ = {vocabulary.text()->lowercase};
}

std::vector<io::ArrayView> VocabularyArrays::views() const {
  const auto view = [](const char* name, const auto& values) {
    return io::view(name, {int64_t(values.size())}, values);
  };
  if (!vocabulary_.text()) return {view(ids_name, vocabulary_.dataset_ids())};
  return {view(ids_name, vocabulary_.dataset_ids()), view(text_name, text_),
          view(lowercase_name, lowercase_)};
}

std::optional<TextVocabulary> load_text_vocabulary(io::Archive& archive) {
  if (!archive.find(text_name)) return {};
  TextVocabulary text;
  std::string token;
  for (const uint8_t byte : archive.load<uint8_t>(text_name)) {
    if (byte == '\n') text.tokens.push_back(std::exchange(token, {}));
    else token += char(byte);
  }
  const auto lowercase = archive.load<uint8_t>(lowercase_name);
  if (lowercase.size() != 1)
    io::fail("{}: {} has {} values, not 1", archive.path(), lowercase_name, lowercase.size());
  text.lowercase = lowercase[0];
  return text;
}

std::optional<Vocabulary> load_vocabulary(io::Archive& archive) {
  if (!archive.find(ids_name)) return {};
  auto ids = archive.load<int64_t>(ids_name);
  if (auto text = load_text_vocabulary(archive)) {
    const std::string what = archive.path() + ": " + text_name;
    Vocabulary vocabulary(std::move(*text), what);
    if (vocabulary.dataset_ids() != ids) io::fail("{} does not fit {}", what, ids_name);
    return vocabulary;
  }
  try {
    return Vocabulary(std::move(ids));
  } catch (const std::invalid_argument& error) {
    io::fail("{}: {}: {}", archive.path(), ids_name, error.what());
  }
}

DatasetStatistics describe(const io::Pairs& pairs, const Vocabulary& vocabulary) {
  DatasetStatistics statistics{};
  statistics.rows = int(pairs.size());
  statistics.words = int64_t(pairs.ids.size());
  if (!statistics.rows) return statistics;

  std::unordered_map<int64_t, bool> known;
  int64_t unknown = 0;
  for (int64_t id : pairs.ids) {
    const bool kept = vocabulary.token(id) != token::unknown;
    unknown += !kept;
    known.emplace(id, kept);
  }
  statistics.unknown_share = double(unknown) / double(statistics.words);
  statistics.distinct = int(known.size());
  for (const auto& [id, kept] : known) statistics.dropped += !kept;

  std::vector<int> lengths;
  for (size_t row = 0; row < pairs.size(); row++) {
    lengths.push_back(int(pairs.starts[2 * row + 2] - pairs.starts[2 * row]) + 3);
  }
  std::sort(lengths.begin(), lengths.end());
  const auto percentile = [&](size_t percent) { return lengths[(percent * lengths.size() + 99) / 100 - 1]; };
  statistics.mean_length = double(statistics.words) / statistics.rows + 3;
  statistics.p50 = percentile(50), statistics.p99 = percentile(99), statistics.longest = percentile(100);
  statistics.lengths.resize(statistics.longest + 1);
  for (int length : lengths) statistics.lengths[length]++;
  return statistics;
}

}  // namespace warpbert
