#include "vocab.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "error.h"
#include "json.h"
#include "text.h"
#include "text_file.h"
#include "wordpiece.h"

namespace warpbert::io {

using Json = nlohmann::json;

static std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1); !text.empty();) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(strip(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// Second column: anything after a tab, or a number after a blank.
static size_t second_column(std::string_view line) {
  if (const size_t tab = line.find('\t'); tab != line.npos) return tab;
  const size_t blank = line.find_last_not_of("0123456789");
  return blank != line.npos && line[blank] == ' ' && blank + 1 < line.size() ? blank : line.npos;
}

// Acts if every line has one. Throws Error if they are ids in another order.
static void remove_second_column(std::vector<std::string_view>& lines, const std::string& path) {
  std::vector<size_t> numbers;
  for (const std::string_view line : lines) {
    const size_t column = second_column(line);
    if (column == line.npos) return;
    size_t number = lines.size();
    std::from_chars(&line[column] + 1, line.data() + line.size(), number);
    numbers.push_back(number);
  }
  for (std::string_view& line : lines) line = strip(line.substr(0, second_column(line)));
  std::vector<size_t> sorted = numbers, ids(lines.size());
  std::sort(sorted.begin(), sorted.end());
  std::iota(ids.begin(), ids.end(), 0);
  if (sorted != ids || numbers == ids) return;
  const size_t i = size_t(std::mismatch(numbers.begin(), numbers.end(), ids.begin()).first - numbers.begin());
  fail("{}: line {}: {} has the number {}, but ids count lines from 0; sort the lines by their numbers", path,
       i + 1, quote(lines[i]), numbers[i]);
}

static std::vector<std::string> parse_vocab(std::string_view text, const std::string& path) {
  std::vector<std::string_view> lines = lines_of(text);
  remove_second_column(lines, path);
  std::unordered_map<std::string_view, size_t> numbers;
  for (size_t i = 0; i < lines.size(); i++) {
    constexpr const char* advice = "ids count lines: put a placeholder there, such as";
    if (lines[i].empty()) fail("{}: line {}: no token; {} [unused{}]", path, i + 1, advice, i);
    const auto [first, is_new] = numbers.insert({lines[i], i + 1});
    if (!is_new)
      fail("{}: line {}: {} is there already, in line {}; {} [unused{}]", path, i + 1, quote(lines[i]),
           first->second, advice, i);
  }
  if (lines.empty()) fail("{}: no tokens", path);
  return {lines.begin(), lines.end()};
}

namespace {

class TokenizerJson {
 public:
  TokenizerJson(const Json& json, const std::string& path) : json_(json), path_(path) {}

  std::vector<std::string> tokens() {
    const Json& model = object(json_, "model");
    check(model);
    for (const auto& [token, id] : object(model, "vocab").items()) add(token, id);
    for (const Json& entry : json_.value("added_tokens", Json::array())) {
      if (!entry.is_object() || !entry.contains("content") || !entry["content"].is_string())
        fail("{}: added_tokens: an entry without content", path_);
      const std::string content = entry["content"];
      add(content, entry.value("id", Json()));
      const auto& special = WordPiece::special_tokens;
      if (std::find(special.begin(), special.end(), content) == special.end()) added_.push_back(content);
    }
    return by_id();
  }

  // Call after tokens(). Warns of all that WordPiece does not follow.
  bool lowercases() const {
    if (!added_.empty())
      warn(
          "{}: {} added tokens, such as {}, keep their rows, but texts are tokenized as if they were "
          "ordinary ones",
          path_, added_.size(), quote(added_[0]));
    if (const Json most = json_["model"].value("max_input_chars_per_word", Json(100)); most != 100)
      differs("max_input_chars_per_word", most, "words of more than 100 characters are [UNK]");
    const Json words = json_.value("pre_tokenizer", Json());
    if (words.is_object() && words.value("type", Json()) != "BertPreTokenizer")
      differs("pre_tokenizer", words.value("type", Json()), "words end at white space and punctuation here");
    const Json normalizer = json_.value("normalizer", Json());
    const Json list = normalizer.is_object() && normalizer.contains("normalizers")
                          ? normalizer["normalizers"]
                          : Json::array({normalizer});
    bool lowercase = false, accents = false;
    for (const Json& step : list) {
      if (!step.is_object()) continue;
      const Json type = step.value("type", Json());
      if (type == "StripAccents") accents = true;
      if (type == "Lowercase") lowercase = true;
      if (type != "BertNormalizer") continue;
      const auto is = [&](const char* key, bool otherwise) {
        const Json value = step.value(key, Json());
        return value.is_boolean() ? value.get<bool>() : otherwise;
      };
      lowercase = is("lowercase", true), accents = is("strip_accents", lowercase);
      if (!is("handle_chinese_chars", true))
        differs("handle_chinese_chars", false, "every ideograph is a word here");
      if (!is("clean_text", true)) differs("clean_text", false, "control characters are dropped here");
    }
    if (accents != lowercase)
      differs("strip_accents", accents, "accents go with capitals here, and with them alone");
    return lowercase;
  }

 private:
  const Json& object(const Json& parent, const char* key) const {
    if (!parent.contains(key) || !parent[key].is_object())
      fail("{}: JSON, but no tokenizer.json of a BERT: there is no object '{}'", path_, key);
    return parent[key];
  }

  void check(const Json& model) const {
    const bool unigram = model.contains("vocab") && model["vocab"].is_array();
    const std::string guess = model.contains("merges") ? "BPE" : unigram ? "Unigram" : "WordPiece";
    const Json type = model.value("type", Json(guess));
    if (type != "WordPiece") fail("{}: its model is {}, not BERT's WordPiece", path_, type.dump());
    for (const auto& [key, ours] : {std::pair{"unk_token", "[UNK]"}, {"continuing_subword_prefix", "##"}})
      if (const Json value = model.value(key, Json(ours)); value != ours)
        fail("{}: {} is {}; BERT's is {}", path_, key, value.dump(), ours);
  }

  void add(const std::string& token, const Json& number) {
    if (!number.is_number_unsigned()) fail("{}: the id of {} is {}", path_, quote(token), number.dump());
    const auto id = number.get<size_t>();
    if (token.empty() || token.find('\n') != token.npos)
      fail("{}: the token of id {} is {}", path_, id, token.empty() ? "empty" : "of two lines");
    if (strip(token) != token || token.ends_with('\x1a'))  // read_vocab would read another token
      fail("{}: the token of id {} is {}; vocab.txt cannot hold white space or ^Z at its ends", path_, id,
           quote(token));
    const auto [place, is_new] = ids_.insert({token, id});
    if (!is_new && place->second != id)
      fail("{}: {} has two ids, {} and {}", path_, quote(token), place->second, id);
  }

  std::vector<std::string> by_id() const {
    std::vector<std::string> tokens(ids_.size());
    for (const auto& [token, id] : ids_) {
      if (id >= tokens.size())
        fail(
            "{}: {} has the id {}, but there are {} tokens; ids without one need a placeholder, such as "
            "[unused{}]",
            path_, quote(token), id, tokens.size(), tokens.size());
      if (!tokens[id].empty())
        fail("{}: {} and {} have one id, {}", path_, quote(tokens[id]), quote(token), id);
      tokens[id] = token;
    }
    if (tokens.empty()) fail("{}: no tokens", path_);
    return tokens;
  }

  void differs(const char* key, const Json& value, const char* ours) const {
    warn("{}: {} = {} is not followed: {}", path_, key, value.dump(), ours);
  }

  const Json& json_;
  const std::string& path_;
  std::unordered_map<std::string, size_t> ids_;
  std::vector<std::string> added_;
};

}  // namespace

// do_lower_case of the tokenizer_config.json in the vocabulary's folder.
static std::optional<bool> do_lower_case(const std::string& path) {
  const std::filesystem::path config = std::filesystem::path(path).parent_path() / "tokenizer_config.json";
  if (path == "-" || !std::filesystem::exists(config)) return {};
  try {
    const Json json = parse_json(read_text(config), "its text");
    if (!json.is_object()) fail("it is no JSON object");
    const Json value = json.value("do_lower_case", Json());
    return value.is_boolean() ? std::optional(value.get<bool>()) : std::nullopt;
  } catch (const Error& error) {
    warn("{}: not read: {}", config.string(), error.what());
    return {};
  }
}

static VocabFile read(const std::string& path, bool for_text) {
  const std::string text = read_text(path);
  const bool named_json = path.ends_with(".json") || path.ends_with(".json.gz");
  if (named_json || strip(text).starts_with('{')) {
    const Json json = parse_json(text, path);
    TokenizerJson file(json, path);
    if (json.is_object()) return {file.tokens(), for_text ? std::optional(file.lowercases()) : std::nullopt};
    if (named_json) fail("{}: no JSON object; a tokenizer.json of transformers was expected", path);
  }
  return {parse_vocab(text, path), for_text ? do_lower_case(path) : std::nullopt};
}

VocabFile read_vocab_file(const std::string& path) { return read(path, true); }
std::vector<std::string> read_vocab(const std::string& path) { return read(path, false).tokens; }

std::optional<std::string> case_conflict(const std::string& path, const VocabFile& vocab, bool lowercase,
                                         const std::string& option) {
  if (vocab.lowercase && *vocab.lowercase != lowercase)
    return fmt::format("{}: its tokenizer's configuration says {} text, but {}", path,
                       *vocab.lowercase ? "lower-case" : "cased", option);
  if (!lowercase) return {};
  const std::unordered_set<std::string_view> known(vocab.tokens.begin(), vocab.tokens.end());
  size_t lost = 0;
  std::string_view example;
  for (const std::string& token : vocab.tokens) {
    if (token.starts_with('[') || find_malformed_utf8(token) != token.npos) continue;
    const std::string lower = lowercase_text(token);
    if (lower == token || known.contains(lower)) continue;
    if (!lost++) example = token;
  }
  if (!lost || 100 * lost < vocab.tokens.size()) return {};  // a few are oddities, such as <S> in Google's
  return fmt::format(
      "{}: {} of {} tokens, such as {}, have capitals or accents: this looks like a cased vocabulary, but {}",
      path, lost, vocab.tokens.size(), quote(example), option);
}

}  // namespace warpbert::io
