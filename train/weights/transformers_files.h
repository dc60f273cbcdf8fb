// Texts of an exported folder for AutoTokenizer and BertForMaskedLM of transformers 4 and 5. A plain call
// tokenizer(a, b, padding=True, truncation=True) gives what training saw.
#pragma once
#include <array>
#include <optional>
#include <string>

#include "model/bert.h"
#include "train/config/options.h"
#include "train/data/vocabulary.h"

namespace warpbert {

struct ExportedModel {
  const BertConfig& config;
  const Vocabulary& vocabulary;
  const Options& options;
  std::optional<double> threshold;  // of highest F1 on the validation rows

  int longest() const;  // model_max_length: tokens with special ones
};

std::string config_json(const BertConfig& config);
std::string vocab_text(const Vocabulary& vocabulary);
// Rust and JavaScript tokenizers read this file alone. Both sentences have type 0.
std::string tokenizer_json(const ExportedModel& model);
// Options stored under "warpbert", as strings, for find_model.
inline constexpr std::array exported_options = {"data.text",    "data.lowercase",  "data.max_tokens",
                                                "train.stage",  "train.precision", "predict.score",
                                                "predict.swap", "predict.batch"};

// Omits token_type_ids from the model's inputs; stores exported_options.
std::string tokenizer_config_json(const ExportedModel& model);

// README.md, with a mark at its start: runnable lines that score a pair.
std::string model_card(const ExportedModel& model);
bool is_model_card(const std::string& text);

}  // namespace warpbert
