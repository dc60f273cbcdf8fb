// A trained model as a file, which Pretrained (pretrained.h) reads.
#pragma once
#include <cstdint>
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

// Writes a Hugging Face folder: model.safetensors, config.json, vocab.txt, tokenizer_config.json.
// BertForMaskedLM gives our logits, with segment ids 0 for both sentences. BertTokenizer gives our tokens,
// for space-separated ids or plain text. tokenizer_config.json also stores the scoring options for
// find_model. Creates the folder; each file is atomic. Throws io::Error if these names exist and export did
// not write them: they may be the pretrained model's.
void export_model(const std::string& folder, Bert& bert, const Vocabulary& vocabulary,
                  const Options& options);

}  // namespace warpbert
