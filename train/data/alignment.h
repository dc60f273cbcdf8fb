// Initial embedding rows for anonymised text, aligned by token frequency (kexue.fm 8213).
//
// Token 7 + r, the r-th most frequent id (from 0), starts as the pretrained token with the r-th highest count
// in a public corpus. Ties: smaller id first. Special tokens start as
// themselves, [NO] and [YES] as [UNK].
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "vocabulary.h"

namespace warpbert {

// counts.json: {"token": count, …}. Throws io::Error for other content.
using TokenCounts = std::unordered_map<std::string, int64_t>;
TokenCounts read_counts(const std::string& path);

// Tokens with a count above 0, except [CLS] and [SEP].
size_t counted_tokens(const std::vector<std::string>& vocab, const TokenCounts& counts);

// Ids by descending count (0 if missing), ties by id. [CLS] and [SEP], which tokenizers add to lines, count
// 0.
std::vector<int> ranked_ids(const std::vector<std::string>& vocab, const TokenCounts& counts);

// Pretrained row of each model token: special ones, then the `words` most frequent. Throws io::Error naming
// `vocab_path` if a special token is missing or `words` exceeds the vocabulary.
std::vector<int> aligned_rows(const std::vector<std::string>& vocab, const TokenCounts& counts, int words,
                              const std::string& vocab_path);

// Plain text: words keep their rows; [NO] and [YES] start as [UNK] if vocab.txt lacks them.
std::vector<int> text_rows(const Vocabulary& vocabulary);

}  // namespace warpbert
