// WordPiece vocabularies: vocab.txt, or transformers' tokenizer.json.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace warpbert::io {

struct VocabFile {
  std::vector<std::string> tokens;  // by id
  // As tokenizer.json, or the tokenizer_config.json beside vocab.txt, says.
  std::optional<bool> lowercase;
};

// Reads either form, recognised by content.
//   vocab.txt        line i, from 0, is token i; blanks inside are part of it. A second column in every line,
//                    after a tab or a number after a blank, is ignored.
//   tokenizer.json   a WordPiece model and added tokens; warns of what WordPiece (wordpiece.h) does not
//                    follow.
// Throws Error for an id without a token, a token of two ids, a second column of ids in another order, and
// models other than BERT's.
VocabFile read_vocab_file(const std::string& path);

// Tokens alone, without warnings.
std::vector<std::string> read_vocab(const std::string& path);

// Warning if `lowercase` contradicts the vocabulary's files or tokens. `option` ends it: "data.lowercase =
// true".
std::optional<std::string> case_conflict(const std::string& path, const VocabFile& vocab, bool lowercase,
                                         const std::string& option);

}  // namespace warpbert::io
