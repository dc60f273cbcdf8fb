// A trained model as a file: its arrays under their canonical names, and the vocabulary they belong to. Pretrained
// (pretrained.h) reads it back.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/bert.h"
#include "train/config/options.h"
#include "train/data/vocabulary.h"

namespace warpbert {

// `__meta__` of a model of ours: what the shapes of its arrays do not tell, heads and ε.
std::vector<uint8_t> model_meta(const BertConfig& config);

// <canonical names> fp32, the vocabulary's arrays (vocabulary.h), and `__meta__`; nothing else, so that equal models are
// equal files. Atomic.
void save_model(const std::string& path, Bert& bert, const Vocabulary& vocabulary);

// A folder that transformers reads: model.safetensors, config.json, vocab.txt and tokenizer_config.json, so that
// BertForMaskedLM gives our logits and BertTokenizer our tokens for ids separated by spaces, or for clear text. (All
// segment ids are 0 in our models, for the second sentence too.) tokenizer_config.json also has the options that
// scores depend on, for find_model. Created if need be; each file atomic. io::Error where the folder has files
// of these names that export did not write: they may be the pretrained model's.
void export_model(const std::string& folder, Bert& bert, const Vocabulary& vocabulary, const Options& options);

}  // namespace warpbert
