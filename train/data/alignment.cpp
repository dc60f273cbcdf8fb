#include "alignment.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "io/error.h"
#include "io/json.h"
#include "io/text.h"
#include "io/text_file.h"

namespace warpbert {

TokenCounts read_counts(const std::string& path) {
  const std::string text = io::read_text(path);
  const nlohmann::json json = io::parse_json(text, path);
  if (json.is_discarded()) io::fail("{}: no JSON: {}", path, io::json_error(text));
  if (!json.is_object()) io::fail("{}: an object {{\"token\": count, …}} was expected", path);
  TokenCounts counts;
  for (const auto& [token, count] : json.items()) {
    if (!count.is_number_integer() || count.get<int64_t>() < 0)
      io::fail("{}: the count of {} is no non-negative integer", path, io::quote(token));
    counts.emplace(token, count.get<int64_t>());
  }
  return counts;
}

static int64_t count_of(const std::string& token, const TokenCounts& counts) {
  const auto found = counts.find(token);
  return found == counts.end() || token == "[CLS]" || token == "[SEP]" ? 0 : found->second;
}

size_t counted_tokens(const std::vector<std::string>& vocab, const TokenCounts& counts) {
  return size_t(std::count_if(vocab.begin(), vocab.end(),
                              [&](const std::string& token) { return count_of(token, counts) > 0; }));
}

std::vector<int> ranked_ids(const std::vector<std::string>& vocab, const TokenCounts& counts) {
  std::vector<int64_t> count;
  for (const std::string& token : vocab) count.push_back(count_of(token, counts));
  std::vector<int> ids(vocab.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int a, int b) { return count[size_t(a)] > count[size_t(b)]; });
  return ids;
}

std::vector<int> text_rows(const Vocabulary& vocabulary) {
  const auto& tokens = vocabulary.text()->tokens;
  const auto place = [&](std::string_view token) { return std::find(tokens.begin(), tokens.end(), token); };
  std::vector<int> rows;
  for (const char* special : token::special) {
    const auto found = place(special);
    rows.push_back(int((found == tokens.end() ? place("[UNK]") : found) - tokens.begin()));
  }
  for (const int64_t id : vocabulary.dataset_ids()) rows.push_back(int(id));
  return rows;
}

std::vector<int> aligned_rows(const std::vector<std::string>& vocab, const TokenCounts& counts, int words,
                              const std::string& vocab_path) {
  std::vector<int> rows;
  for (const char* special : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "[UNK]"}) {
    const auto found = std::find(vocab.begin(), vocab.end(), special);
    if (found == vocab.end()) io::fail("{}: has no token {}", vocab_path, special);
    rows.push_back(int(found - vocab.begin()));
  }
  if (size_t(words) > vocab.size())
    io::fail("{}: {} tokens, but the data has {} ids to align; raise data.min_count", vocab_path,
             vocab.size(), words);
  const std::vector<int> ranked = ranked_ids(vocab, counts);
  rows.insert(rows.end(), ranked.begin(), ranked.begin() + words);
  return rows;
}

}  // namespace warpbert
