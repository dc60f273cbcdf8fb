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

// `__meta__`: heads and ε, which shapes lack.
std::vector<uint8_t> model_meta(const BertConfig& config);

// Writes <canonical names> fp32, vocabulary (vocabulary.h) and `__meta__`, atomically: equal models give
// equal files.
void save_model(const std::string& path, Bert& bert, const Vocabulary& vocabulary);

// Writes a Hugging Face folder: model.safetensors and transformers_files.h; each file is atomic.
// BertForMaskedLM gives our logits for any token types: both rows of their table are equal. BertTokenizer
// gives our tokens, for space-separated ids or plain text. Throws io::Error if the names exist and export did
// not write them. Returns false if it keeps someone else's README.md.
bool export_model(const std::string& folder, Bert& bert, const Vocabulary& vocabulary, const Options& options,
                  std::optional<double> threshold = {});

}  // namespace warpbert
