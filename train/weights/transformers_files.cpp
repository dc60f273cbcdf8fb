#include "transformers_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "io/format.h"

namespace warpbert {

using Json = nlohmann::ordered_json;

namespace {

std::vector<std::string> tokens_of(const Vocabulary& vocabulary) {
  std::vector<std::string> tokens(token::special.begin(), token::special.end());
  const auto& words = vocabulary.text();
  for (const int64_t id : vocabulary.dataset_ids())
    tokens.push_back(words ? words->tokens[size_t(id)] : fmt::format("{}", id));
  return tokens;
}

bool lowercase(const Vocabulary& vocabulary) { return vocabulary.text() && vocabulary.text()->lowercase; }

// [CLS] A [SEP] B [SEP], all of type 0; a single sentence ends before B.
nlohmann::json post_processor() {
  using Json = nlohmann::json;
  const auto piece = [](const char* kind, const char* id) {
    return Json{{kind, {{"id", id}, {"type_id", 0}}}};
  };
  const auto special_token = [](const char* text, int id) {
    return Json{{"id", text}, {"ids", Json::array({id})}, {"tokens", Json::array({text})}};
  };
  Json single = {piece("SpecialToken", "[CLS]"), piece("Sequence", "A"), piece("SpecialToken", "[SEP]")};
  Json pair = single;
  pair.push_back(piece("Sequence", "B"));
  pair.push_back(piece("SpecialToken", "[SEP]"));
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens",
           {{"[CLS]", special_token("[CLS]", token::cls)}, {"[SEP]", special_token("[SEP]", token::sep)}}}};
}

}  // namespace

int ExportedModel::longest() const { return std::min(options.data.max_tokens + 3, config.max_positions); }

// ---- Configurations ---------------------------------------------------------------------------------------

std::string config_json(const BertConfig& c) {
  const Json json = {{"architectures", {"BertForMaskedLM"}},
                     {"model_type", "bert"},
                     {"vocab_size", c.vocabulary},
                     {"hidden_size", c.hidden},
                     {"num_hidden_layers", c.layers},
                     {"num_attention_heads", c.heads},
                     {"intermediate_size", c.intermediate},
                     {"hidden_act", "gelu"},
                     {"hidden_dropout_prob", io::decimal(c.dropout)},
                     {"attention_probs_dropout_prob", io::decimal(c.attention_dropout)},
                     {"max_position_embeddings", c.max_positions},
                     {"type_vocab_size", 2},
                     {"layer_norm_eps", io::decimal(c.layer_norm_epsilon)},
                     {"pad_token_id", token::pad},
                     {"tie_word_embeddings", true}};
  return json.dump(2) + "\n";
}

std::string vocab_text(const Vocabulary& vocabulary) {
  std::string text;
  for (const std::string& token : tokens_of(vocabulary)) text += token + "\n";
  return text;
}

std::string tokenizer_json(const ExportedModel& model) {
  using Json = nlohmann::json;  // ordered_json takes quadratic time for the vocabulary
  // [NO] and [YES] are not added tokens: in a text they are ordinary.
  Json added = Json::array(), vocab = Json::object();
  for (int id = 0; id < token::no; id++)
    added.push_back({{"id", id},
                     {"content", token::special[size_t(id)]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  int next = 0;
  for (const std::string& token : tokens_of(model.vocabulary)) vocab[token] = next++;
  const Json json = {{"version", "1.0"},
                     {"truncation",
                      {{"direction", "Right"},
                       {"max_length", model.longest()},
                       {"strategy", "LongestFirst"},
                       {"stride", 0}}},
                     {"padding", nullptr},
                     {"added_tokens", added},
                     {"normalizer",
                      {{"type", "BertNormalizer"},
                       {"clean_text", true},
                       {"handle_chinese_chars", true},
                       {"strip_accents", nullptr},
                       {"lowercase", lowercase(model.vocabulary)}}},
                     {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
                     {"post_processor", post_processor()},
                     {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
                     {"model",
                      {{"type", "WordPiece"},
                       {"unk_token", "[UNK]"},
                       {"continuing_subword_prefix", "##"},
                       {"max_input_chars_per_word", 100},
                       {"vocab", vocab}}}};
  return json.dump(2) + "\n";
}

std::string tokenizer_config_json(const ExportedModel& model) {
  Json json = {
      {"tokenizer_class", "BertTokenizer"},       {"do_lower_case", lowercase(model.vocabulary)},
      {"model_max_length", model.longest()},      {"model_input_names", {"input_ids", "attention_mask"}},
      {"pad_token", token::special[token::pad]},  {"unk_token", token::special[token::unknown]},
      {"cls_token", token::special[token::cls]},  {"sep_token", token::special[token::sep]},
      {"mask_token", token::special[token::mask]}};
  for (const char* key : exported_options) json["warpbert"][key] = option_value(model.options, key);
  if (model.threshold) json["warpbert"]["threshold"] = fmt::format("{}", *model.threshold);
  return json.dump(2) + "\n";
}

// ---- Model card -------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view card_mark =
    "<!-- Written by warpbert export, which replaces it. Remove this line to keep your own text. -->";

// A pair for the card's lines.
std::pair<std::string, std::string> sample_pair(const Vocabulary& vocabulary) {
  if (vocabulary.text()) return {"how do I get there", "what is the way"};
  const auto& ids = vocabulary.dataset_ids();
  const auto id = [&](size_t i) { return fmt::format("{}", ids.empty() ? 0 : ids[i % ids.size()]); };
  return {id(0) + " " + id(1), id(1) + " " + id(2)};
}

std::string score_lines(const ExportedModel& model) {
  const auto [a, b] = sample_pair(model.vocabulary);
  const PredictOptions& predict = model.options.predict;
  std::string text = fmt::format(
      R"(```python
import torch
from transformers import AutoTokenizer, BertForMaskedLM

folder = "."  # this folder
tokenizer = AutoTokenizer.from_pretrained(folder)
model = BertForMaskedLM.from_pretrained(folder).eval()

def log_p(a, b):  # of [NO] and [YES] at [CLS]
    batch = tokenizer(a, b, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        return model(**batch).logits[:, 0].log_softmax(-1)[:, {}:{}]

a, b = ["{}"], ["{}"]
)",
      token::no, token::yes + 1, a, b);
  text += predict.swap ? "no, yes = ((log_p(a, b) + log_p(b, a)) / 2).unbind(-1)  # mean of both orders\n"
                       : "no, yes = log_p(a, b).unbind(-1)\n";
  text += predict.score == Score::ratio ? "scores = yes.exp() / (no.exp() + yes.exp() + 1e-8)\n"
                                        : "scores = (yes - no).sigmoid()\n";
  return text + "print(scores.tolist())\n```\n";
}

std::string input_lines(const ExportedModel& model) {
  const auto& words = model.vocabulary.text();
  const int limit = model.longest() - 3;
  std::string text =
      words
          ? fmt::format(
                "- **Sentences** are plain text, tokenized by WordPiece{}.\n",
                words->lowercase ? " in lower case and without accents" : " with capitals and accents")
          : "- **Sentences** are the ids of the training data as text, separated by spaces. An id that the\n"
            "  model does not know becomes [UNK]. Ids have no leading zeros.\n";
  text += fmt::format(
      "- **Length:** at most {} tokens of both sentences. `truncation=True` drops the last token of the\n"
      "  longer sentence, as in training.{}\n",
      limit,
      limit % 2 ? " As this number is odd, the last token of a pair may be dropped from\n"
                  "  the other sentence than in training, if both are longer than half of it."
                : "");
  return text +
         "- **Token types** do not matter. Training used type 0 for both sentences, so the tokenizer does "
         "not\n"
         "  return types, and both rows of the table are equal.\n";
}

}  // namespace

std::string model_card(const ExportedModel& model) {
  const BertConfig& c = model.config;
  std::string text = fmt::format(
      R"(---
library_name: transformers
tags:
- bert
- text-matching
---
{}
# Pair matching

This BERT scores how well two short texts match, from 0 to 1. Its masked-language head predicts
[YES] or [NO] at the [CLS] of `[CLS] a [SEP] b [SEP]`. It has {} layers, hidden size {}, {} heads
and a vocabulary of {} tokens.
)",
      card_mark, c.layers, c.hidden, c.heads, c.vocabulary);
  if (model.options.train.stage == Stage::pretrain)
    text += "\nIt is pretrained on masked tokens alone and has not learned to score pairs.\n";
  text += "\n## Score a pair\n" + score_lines(model) + "\n" + input_lines(model);
  text +=
      "- **Scores** equal those of `warpbert predict --train.precision=fp32` on this folder, to rounding.\n";
  if (model.threshold)
    text += fmt::format(
        "- **Threshold:** on the validation pairs, a score of {:.9g} or more gave the highest F1.\n",
        *model.threshold);
  return text;
}

bool is_model_card(const std::string& text) { return text.find(card_mark) != text.npos; }

}  // namespace warpbert
