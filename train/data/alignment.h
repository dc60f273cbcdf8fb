// Which row of a pretrained embedding each token of anonymised text starts from (kexue.fm 8213).
//
// The texts are only ids, but an id that is the r-th most frequent of them is likely to be a word that is about the
// r-th most frequent of the language: token 7 + r starts as the pretrained token with the r-th highest count in a
// public corpus. Equal counts: the smaller id first (the reference leaves it open). [PAD], [UNK], [CLS], [SEP] and
// [MASK] start as themselves, [NO] and [YES] as [UNK].
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "vocabulary.h"

namespace warpbert {

// counts.json: {"token": count, …}. Throws io::Error for anything else.
using TokenCounts = std::unordered_map<std::string, int64_t>;
TokenCounts read_counts(const std::string& path);

// How many tokens of `vocab` have a count above 0; [CLS] and [SEP] have none.
size_t counted_tokens(const std::vector<std::string>& vocab, const TokenCounts& counts);

// Ids of `vocab` by falling count, a token without one counting 0, equal counts by id. [CLS] and [SEP], which a
// tokenizer adds to every line, count 0 whatever the corpus says.
std::vector<int> ranked_ids(const std::vector<std::string>& vocab, const TokenCounts& counts);

// Row of the pretrained embedding for each of the model's tokens: seven special ones, then `words` ranks. Throws
// io::Error naming `vocab_path` when a special token is missing or there are fewer ranks than words.
std::vector<int> aligned_rows(const std::vector<std::string>& vocab, const TokenCounts& counts, int words,
                              const std::string& vocab_path);

// The same for clear text, whose words keep their rows: [NO] and [YES] start as [UNK] where vocab.txt lacks them.
std::vector<int> text_rows(const Vocabulary& vocabulary);

}  // namespace warpbert
