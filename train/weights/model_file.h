// A trained model as a file, which Pretrained (pretrained.h) reads.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/bert.h"
#include "train/config/options.h"
#include "train/data/vocabulary.h"

namespace warpbert {

// `__meta__` of our models: heads and ε, which shapes do not tell.
std::vector<uint8_t> model_meta(const BertConfig& config);

// Writes <canonical names> fp32, the vocabulary (vocabulary.h) and `__meta__` only: equal models give equal
// files. Atomic.
void save_model(const std::string& path, Bert& bert, const Vocabulary& vocabulary);

// Writes a Hugging Face folder: model.safetensors and the texts of transformers_files.h. BertForMaskedLM
// gives our logits, whatever the token types: row 1 of their table is a copy of row 0. BertTokenizer gives
// our tokens, for space-separated ids or plain text. Creates the folder; each file is atomic. Throws
// io::Error if these names exist and export did not write them: they may be the pretrained model's. Returns
// false if README.md is someone else's: it stays.
bool export_model(const std::string& folder, Bert& bert, const Vocabulary& vocabulary, const Options& options,
                  std::optional<double> threshold = {});

}  // namespace warpbert
