// Shared by the targets of vocabularies.
#pragma once
#include "arrays.h"
#include "io/vocab.h"
#include "io/wordpiece.h"
#include "model/bert.h"
#include "train/data/vocabulary.h"
#include "train/score/trained_model.h"
#include "train/weights/transformers_files.h"

namespace warpbert::fuzz {

// Reads a vocabulary, and saves it as a model file and as an exported folder do: it stays the same.
inline void check_vocabulary(const std::string& name, std::string_view text) {
  const std::string path = write(name, text);
  io::VocabFile file;
  if (!accepts(path, [&] { file = io::read_vocab_file(path); })) return;
  require(!file.tokens.empty(), "a vocabulary is empty");
  io::case_conflict(path, file, true, "data.lowercase = true");
  std::optional<Vocabulary> vocabulary;
  if (!accepts(path, [&] { vocabulary.emplace(TextVocabulary{file.tokens, true}, path); })) return;
  require(vocabulary->text()->tokens == file.tokens, "a vocabulary changes its tokens");

  io::WordPiece tokenizer(file.tokens, path, true);
  std::vector<int> ids;
  tokenizer.encode("[CLS] unaffable, \"1 中\" [MASK]", ids);
  for (const int id : ids)
    require(id >= 0 && size_t(id) < file.tokens.size(), "a token is not in the vocabulary");

  const std::string npz = folder() / "vocabulary.npz";
  io::write_npz(npz, VocabularyArrays(*vocabulary).views());
  const auto stored = load_vocabulary(*io::open_npz(npz));
  require(stored && *stored == *vocabulary, "a vocabulary in a model file reads otherwise");

  const std::string exported = write("exported.txt", vocab_text(*vocabulary));
  DataOptions data;
  data.text = true;
  std::optional<Vocabulary> again;
  require(accepts(exported, [&] { again = read_exported_vocabulary(exported, data); }),
          "an exported vocabulary is refused");
  require(again->size() == vocabulary->size(), "an exported vocabulary has another size");
}

}  // namespace warpbert::fuzz
