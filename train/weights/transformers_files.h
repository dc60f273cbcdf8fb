// Texts of an exported folder, beside model.safetensors. AutoTokenizer and BertForMaskedLM of transformers 4
// and 5 load them; the plain call tokenizer(a, b, padding=True, truncation=True) gives what training saw.
#pragma once
#include <array>
#include <optional>
#include <string>

#include "model/bert.h"
#include "train/config/options.h"
#include "train/data/vocabulary.h"

namespace warpbert {

// An exported model. `threshold`: score of highest F1 on the validation rows, if known.
struct ExportedModel {
  const BertConfig& config;
  const Vocabulary& vocabulary;
  const Options& options;
  std::optional<double> threshold;

  int longest() const;  // tokens of the longest pair, special ones included: model_max_length
};

std::string config_json(const BertConfig& config);
std::string vocab_text(const Vocabulary& vocabulary);
// Tokenizers without tokenizer_config.json (Rust, JavaScript) read this file alone. Both sentences have
// type 0.
std::string tokenizer_json(const ExportedModel& model);
// Options that an exported folder stores under "warpbert", as strings; find_model takes no others.
inline constexpr std::array exported_options = {"data.text",    "data.lowercase",  "data.max_tokens",
                                                "train.stage",  "train.precision", "predict.score",
                                                "predict.swap", "predict.batch"};

// Leaves token_type_ids out of the model's inputs, and stores the scoring options for find_model.
std::string tokenizer_config_json(const ExportedModel& model);

// README.md: how to score a pair, in lines that run. Begins with a mark; a README.md without it is not ours.
std::string model_card(const ExportedModel& model);
bool is_model_card(const std::string& text);

}  // namespace warpbert
