#include "tsv.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <system_error>
#include <utility>

#include "error.h"
#include "text.h"
#include "wordpiece.h"

namespace warpbert::io {

size_t Pairs::count_labelled() const {
  return size_t(std::count_if(labels.begin(), labels.end(), [](float label) { return label != no_label; }));
}

namespace {

// Parses one file. Reference: Python's strip() of each line, which drops '\r' and trailing tabs.
class Parser {
 public:
  Parser(std::string_view text, const std::string& name, WordPiece* tokenizer)
      : rest_(text),
        name_(name),
        tokenizer_(tokenizer),
        columns_(tokenizer ? "sentence<TAB>sentence[<TAB>label]" : "ids<TAB>ids[<TAB>label]") {}

  Pairs parse() {
    if (rest_.starts_with("\xff\xfe") || rest_.starts_with("\xfe\xff"))
      fail("{}: is UTF-16; save it as UTF-8 or plain ASCII", name_);
    if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
    pairs_.ids.reserve(rest_.size() / 4);

    int64_t blank = 0;  // first of the current blank lines; allowed at the end only
    while (!rest_.empty()) {
      line_++;
      const size_t end = std::min(rest_.find('\n'), rest_.size());
      const std::string_view line = rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      if (strip(line).empty()) {
        if (!blank) blank = line_;
        continue;
      }
      if (blank) fail("{}: line {}: blank line between rows; delete it", name_, blank);
      row(line);
    }
    if (!pairs_.size()) fail("{}: no rows; expected lines of {}", name_, columns_);
    return std::move(pairs_);
  }

 private:
  template <class... T>
  [[noreturn]] void refuse(fmt::format_string<T...> format, T&&... values) {
    fail("{}: line {}: {}", name_, line_, fmt::format(format, std::forward<T>(values)...));
  }

  void row(std::string_view line) {
    const bool tab = line.find('\t') != line.npos;
    line.remove_suffix(size_t(line.end() - strip(line).end()));
    while (line.starts_with(' ')) line.remove_prefix(1);  // not tabs: an empty first sentence must stay
    std::string_view columns[3];
    size_t count = 0;
    for (size_t start = 0; start <= line.size(); count++) {
      const size_t end = std::min(line.find('\t', start), line.size());
      if (count < 3) columns[count] = line.substr(start, end - start);
      start = end + 1;
    }
    if (count < 2 && tab) refuse("the second sentence is empty");
    if (count < 2) refuse("one column; expected {}", columns_);
    if (count > 3) refuse("{} columns; expected {}", count, columns_);
    sentence(columns[0], "first");
    sentence(columns[1], "second");
    pairs_.labels.push_back(count == 3 ? label(columns[2]) : no_label);
  }

  void sentence(std::string_view text, const char* which) {
    tokenizer_ ? cut(text, which) : read_ids(text);
    if (pairs_.ids.size() == pairs_.starts.back()) refuse("the {} sentence is empty", which);
    pairs_.starts.push_back(pairs_.ids.size());
  }

  void cut(std::string_view text, const char* which) {
    if (const size_t byte = find_malformed_utf8(text); byte != text.npos)
      refuse("the {} sentence is no UTF-8 from its byte {} on; save the file as UTF-8", which, byte + 1);
    tokens_.clear();
    tokenizer_->encode(text, tokens_);
    pairs_.ids.insert(pairs_.ids.end(), tokens_.begin(), tokens_.end());
  }

  void read_ids(std::string_view text) {
    if (strip(text).empty()) return;
    const char *next = text.data(), *const end = next + text.size();
    while (true) {
      int64_t id = 0;
      const auto [stop, error] = std::from_chars(next, end, id);
      if (error != std::errc() || id < 0 || *next == '-' || (stop != end && *stop != ' '))
        refuse_id({next, size_t(std::find(next, end, ' ') - next)}, error == std::errc::result_out_of_range);
      pairs_.ids.push_back(id);
      if (stop == end) break;
      next = stop + 1;
    }
  }

  [[noreturn]] void refuse_id(std::string_view word, bool too_large) {
    if (word.empty()) refuse("a space too many; ids are separated by single spaces");
    if (too_large && word[0] != '-') refuse("id {} is too large (at most 9223372036854775807)", quote(word));
    const bool is_text =
        std::any_of(word.begin(), word.end(), [](unsigned char c) { return c >= 0x80 || std::isalpha(c); });
    refuse("{} is no id; expected a non-negative integer{}", quote(word),
           is_text ? "; clear text needs data.text = true, in training too" : "");
  }

  float label(std::string_view text) {
    text = strip(text);
    double value = -1;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || stop != text.data() + text.size() || !(value >= 0 && value <= 1))
      refuse("{} is no label; expected 0, 1 or a number between (leave the column out for unlabelled pairs)",
             quote(text));
    return float(value);
  }

  std::string_view rest_;
  const std::string& name_;
  WordPiece* tokenizer_;  // null: ids
  const char* columns_;
  std::vector<int> tokens_;
  int64_t line_ = 0;
  Pairs pairs_;
};

}  // namespace

Pairs parse_pairs(std::string_view text, const std::string& name, WordPiece* tokenizer) {
  return Parser(text, name, tokenizer).parse();
}

Pairs read_pairs(const std::string& path, WordPiece* tokenizer) {
  return parse_pairs(read_file(path), path == "-" ? "standard input" : path, tokenizer);
}

}  // namespace warpbert::io
