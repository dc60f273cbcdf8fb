#include "tsv.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <limits>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "error.h"
#include "text.h"
#include "text_file.h"
#include "wordpiece.h"

namespace warpbert::io {

size_t Pairs::count_labelled() const {
  return size_t(std::count_if(labels.begin(), labels.end(), [](float label) { return label != no_label; }));
}

void Pairs::resize(size_t rows) {
  labels.resize(rows);
  starts.resize(2 * rows + 1);
  ids.resize(starts.back());
}

namespace {

struct Fault {
  std::string why;
};

template <class... T>
[[noreturn]] void refuse(fmt::format_string<T...> format, T&&... values) {
  throw Fault{fmt::format(format, std::forward<T>(values)...)};
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// 1.2E+05, also with a decimal comma.
bool is_rounded_by_a_spreadsheet(std::string_view word) {
  const auto digits = [&] {
    const size_t before = word.size();
    while (!word.empty() && is_digit(word[0])) word.remove_prefix(1);
    return before - word.size();
  };
  const auto drop = [&](std::string_view any) {
    const bool found = !word.empty() && any.find(word[0]) != any.npos;
    if (found) word.remove_prefix(1);
    return found;
  };
  if (!digits() || (drop(".,") && !digits()) || !drop("eE")) return false;
  drop("+-");
  return digits() && word.empty();
}

[[noreturn]] void refuse_id(std::string_view word, bool too_large) {
  if (word.empty()) refuse("a space too many; ids are separated by single spaces");
  if (too_large && word[0] != '-') refuse("id {} is too large (at most 9223372036854775807)", quote(word));
  if (is_rounded_by_a_spreadsheet(word))
    refuse("{} is no id, but a number that a spreadsheet has rounded; export its columns as text",
           quote(word));
  const bool is_text =
      std::any_of(word.begin(), word.end(), [](unsigned char c) { return c >= 0x80 || std::isalpha(c); });
  refuse("{} is no id; expected a non-negative integer{}", quote(word),
         word[0] == '"' ? "; cells are written without quotes"
         : is_text      ? "; plain text needs data.text = true, in training too"
                        : "");
}

void read_ids(std::string_view text, std::vector<int64_t>& ids) {
  if (strip(text).empty()) return;
  const char *next = text.data(), *const end = next + text.size();
  while (true) {
    int64_t id = 0;
    const auto [stop, error] = std::from_chars(next, end, id);
    if (error != std::errc() || id < 0 || *next == '-' || (stop != end && *stop != ' '))
      refuse_id({next, size_t(std::find(next, end, ' ') - next)}, error == std::errc::result_out_of_range);
    ids.push_back(id);
    if (stop == end) break;
    next = stop + 1;
  }
}

std::optional<float> read_label(std::string_view text) {
  const auto value = to_number<double>(strip(text));
  return value && *value >= 0 && *value <= 1 ? std::optional(float(*value)) : std::nullopt;
}

// True for sentence1, Text_A or 句子1; `other` is the other column.
bool is_column_name(std::string_view cell, std::string_view other) {
  static const std::set<std::string> names = {
      "anchor",    "answer",  "context", "doc",      "document", "first",    "hypothesis", "input",
      "left",      "passage", "phrase",  "positive", "premise",  "q",        "query",      "question",
      "reference", "right",   "s",       "second",   "sent",     "sentence", "source",     "src",
      "string",    "target",  "text",    "tgt",      "title",    "utterance"};
  std::string letters;
  for (const unsigned char c : cell)
    if (std::isalpha(c)) letters += char(std::tolower(c));
  if (cell.size() > 1 && names.count(letters)) return true;
  if (cell.size() > 2 && names.count(letters.substr(0, letters.size() - 1))) return true;  // text_a
  const auto stem = [](std::string_view name) { return name.substr(0, name.size() - 1); };
  const auto is_end = [](std::string_view a, std::string_view b) {
    return (a == "1" && b == "2") || (a == "A" && b == "B");
  };
  if (cell.size() < 4 || cell.size() != other.size() || stem(cell) != stem(other)) return false;
  const auto a = cell.substr(cell.size() - 1), b = other.substr(other.size() - 1);
  return is_end(a, b) || is_end(b, a);
}

bool looks_like_header(std::string_view first, std::string_view second) {
  const auto bare = [](std::string_view cell) {
    cell = strip(cell);
    if (cell.size() > 2 && cell.starts_with('"') && cell.ends_with('"'))
      cell = cell.substr(1, cell.size() - 2);
    return cell;
  };
  first = bare(first), second = bare(second);
  return first.size() < 30 && is_column_name(first, second) && is_column_name(second, first);
}

bool has_odd_quotes(std::string_view cell) { return std::count(cell.begin(), cell.end(), '"') % 2; }

}  // namespace

struct PairReader::Row {
  std::array<std::string_view, 3> columns;
  size_t count = 0;
  bool tab;  // before its end is stripped

  // Reference: Python's strip() of each line, which drops '\r' and trailing tabs.
  explicit Row(std::string_view line) : tab(line.find('\t') != line.npos) {
    const std::string_view content = strip(line);
    line = content.empty() ? content : line.substr(0, size_t(content.end() - line.begin()));
    while (line.starts_with(' ')) line.remove_prefix(1);  // not tabs: an empty first sentence must stay
    for (size_t start = 0; start <= line.size(); count++) {
      const size_t end = std::min(line.find('\t', start), line.size());
      if (count < 3) columns[count] = line.substr(start, end - start);
      start = end + 1;
    }
  }
  bool opens_quote() const {
    const std::string_view last = count <= 3 ? columns[count - 1] : std::string_view();
    return last.starts_with('"') && has_odd_quotes(last);
  }
};

static const char* columns_text(bool text) {
  return text ? "sentence<TAB>sentence[<TAB>label]" : "ids<TAB>ids[<TAB>label]";
}

PairReader::PairReader(std::string name, std::vector<WordPiece*> tokenizers, bool skip_bad)
    : name_(std::move(name)), tokenizers_(std::move(tokenizers)), skip_bad_(skip_bad) {
  lines_.pairs.resize(std::max<size_t>(tokenizers_.size(), 1));
  only_numbers_ = only_quoted_ = !tokenizers_.empty() && tokenizers_[0];
}

void PairReader::add(std::string_view bytes) {
  for (size_t end = bytes.find('\n'); end != bytes.npos; end = bytes.find('\n')) {
    const std::string_view rest = bytes.substr(0, end);
    if (unfinished_.empty()) line(rest);
    else line(std::exchange(unfinished_, {}).append(rest));
    bytes.remove_prefix(end + 1);
  }
  unfinished_ += bytes;
}

void PairReader::line(std::string_view text) {
  line_++;
  const bool is_blank = strip(text).empty();
  if (is_blank && !skip_bad_) {
    if (!blank_) blank_ = line_;
    return;
  }
  if (blank_) fail("{}: line {}: blank line between rows; delete it", name_, blank_);
  const Row row(text);
  try {
    if (is_blank) refuse("blank line");
    append(row);
    observe(row);
  } catch (const Fault& fault) {
    const bool header = line_ == 1 && row.count > 1 && looks_like_header(row.columns[0], row.columns[1]);
    const std::string why = fault.why + (header ? "; this looks like a header line: delete it" : "");
    for (Pairs& pairs : lines_.pairs) pairs.resize(pairs.size());  // drops this row
    if (!skip_bad_) fail("{}: line {}: {}", name_, line_, why);
    skip(line_, why);
  }
  if (row.opens_quote()) last_open_quote_ = line_;
}

void PairReader::skip(int64_t line, const std::string& why) {
  lines_.gaps.push_back(lines_.size());
  warn("{}: line {}: no score: {}", name_, line, why);
}

void PairReader::append(const Row& row) {
  const std::string_view last = row.columns[std::min<size_t>(row.count, 3) - 1];
  const char* columns = columns_text(!tokenizers_.empty());
  if (last.ends_with('\x1a')) refuse("{}", ctrl_z);
  if (row.count < 2 && row.tab) refuse("the second sentence is empty");
  if (row.count < 2)
    refuse("one column; expected {}{}", columns,
           row.opens_quote() || last_open_quote_ == line_ - 1 ? "; a line break inside a quoted cell?" : "");
  if (row.count > 3)
    refuse("{} columns; expected {}{}", row.count, columns,
           last.find('\r') == last.npos ? "" : "; its lines seem to end in CR alone");
  refuse_continuation(row);

  std::vector<int> tokens;
  for (size_t i = 0; i < lines_.pairs.size(); i++) {
    Pairs& pairs = lines_.pairs[i];
    for (const bool second : {false, true}) {
      const std::string_view text = row.columns[second];
      const char* which = second ? "second" : "first";
      if (tokenizers_.empty()) {
        read_ids(text, pairs.ids);
      } else if (!tokenizers_[i]) {
        if (!strip(text).empty()) pairs.ids.push_back(0);
      } else {
        if (const size_t byte = find_malformed_utf8(text); byte != text.npos)
          refuse("the {} sentence is no UTF-8 from its byte {} on; save the file as UTF-8", which, byte + 1);
        tokens.clear();
        tokenizers_[i]->encode(text, tokens);
        pairs.ids.insert(pairs.ids.end(), tokens.begin(), tokens.end());
      }
      if (pairs.ids.size() == pairs.starts.back()) refuse("the {} sentence is empty", which);
      pairs.starts.push_back(pairs.ids.size());
    }
  }
  const auto label = row.count == 3 ? read_label(row.columns[2]) : no_label;
  if (!label)
    refuse("{} is no label; expected 0, 1 or a number between (leave the column out for unlabelled pairs)",
           quote(strip(row.columns[2])));
  for (Pairs& pairs : lines_.pairs) pairs.labels.push_back(*label);
}

void PairReader::observe(const Row& row) {
  const auto is_number = [](std::string_view cell) {
    return std::all_of(cell.begin(), cell.end(), [](char c) { return is_digit(c) || c == ' '; });
  };
  only_numbers_ = only_numbers_ && is_number(row.columns[0]) && is_number(row.columns[1]);
  const auto is_quoted = [](std::string_view cell) {
    cell = strip(cell);
    return cell.size() > 2 && cell.starts_with('"') && cell.ends_with('"');
  };
  only_quoted_ = only_quoted_ && is_quoted(row.columns[0]) && is_quoted(row.columns[1]);
  if (row.count == 3) {
    labelled_++;
    return;
  }
  unlabelled_++;
  if (last_unlabelled_ == line_ - 1 && read_label(row.columns[1]) && !halves_++) first_half_ = line_;
  last_unlabelled_ = line_;
  if (line_ == 1 && looks_like_header(row.columns[0], row.columns[1]))
    warn("{}: line 1: {} and {} look like a header line, but count as a pair", name_, quote(row.columns[0]),
         quote(row.columns[1]));
}

// A spreadsheet quotes a cell with a line break. The row then ends inside the quotes; the next line holds the
// rest of its second sentence and its label.
void PairReader::refuse_continuation(const Row& row) {
  if (last_open_quote_ != line_ - 1 || row.count != 2) return;
  if (!has_odd_quotes(row.columns[0]) || !read_label(row.columns[1])) return;
  const bool is_taken = lines_.pairs[0].labels.empty();
  if (skip_bad_ && last_unlabelled_ == line_ - 1 && !is_taken) {  // drops the first half
    for (Pairs& pairs : lines_.pairs) pairs.resize(pairs.size() - 1);
    unlabelled_--;
    skip(line_ - 1, fmt::format("opens a quote that line {} closes", line_));
  }
  refuse("closes a quote that line {} opens: a line break inside a cell? A row is one line", line_ - 1);
}

void PairReader::finish() {
  if (!unfinished_.empty()) line(std::exchange(unfinished_, {}));
  const int64_t rows = labelled_ + unlabelled_;
  if (!rows && !(skip_bad_ && line_))
    fail("{}: no rows; expected lines of {}", name_, columns_text(!tokenizers_.empty()));
  if (rows && only_numbers_)
    warn("{}: all sentences are numbers; data.text = true takes them for words, and not for ids", name_);
  if (rows && only_quoted_)
    warn("{}: all sentences are in quotes, which are read as text; write cells without them", name_);
  if (halves_ && labelled_ && (unlabelled_ <= 2 * halves_ || unlabelled_ < labelled_))
    warn(
        "{}: line {}: looks like the rest of the row before: its second sentence is a label, and neither has "
        "one; a line break inside a cell?{}",
        name_, first_half_, halves_ > 1 ? fmt::format(" ({} such lines)", halves_) : "");
}

static Pairs take_rows(Pairs& pairs, size_t rows) {
  Pairs rest;
  const size_t ids = pairs.starts[2 * rows];
  rest.ids.assign(pairs.ids.begin() + long(ids), pairs.ids.end());
  for (size_t s = 2 * rows + 1; s < pairs.starts.size(); s++) rest.starts.push_back(pairs.starts[s] - ids);
  rest.labels.assign(pairs.labels.begin() + long(rows), pairs.labels.end());
  pairs.resize(rows);
  return std::exchange(pairs, std::move(rest));
}

PairLines PairReader::take(size_t most) {
  most = std::min(most, size());
  PairLines taken;
  const auto rest = std::lower_bound(lines_.gaps.begin(), lines_.gaps.end(), most);
  taken.gaps.assign(lines_.gaps.begin(), rest);
  lines_.gaps.erase(lines_.gaps.begin(), rest);
  for (size_t& gap : lines_.gaps) gap -= most;
  for (Pairs& pairs : lines_.pairs) taken.pairs.push_back(take_rows(pairs, most - taken.gaps.size()));
  return taken;
}

static PairLines take_all(PairReader& reader) {
  reader.finish();
  return reader.take(std::numeric_limits<size_t>::max());
}

PairLines read_pairs(const std::string& path, const std::vector<WordPiece*>& tokenizers, bool skip_bad) {
  TextFile file(path);
  PairReader reader(file.name(), tokenizers, skip_bad);
  for (std::string bytes = file.read(); !bytes.empty(); bytes = file.read()) reader.add(bytes);
  return take_all(reader);
}

static std::vector<WordPiece*> tokenizers_of(WordPiece* tokenizer) {
  return tokenizer ? std::vector{tokenizer} : std::vector<WordPiece*>();
}

Pairs read_pairs(const std::string& path, WordPiece* tokenizer) {
  return std::move(read_pairs(path, tokenizers_of(tokenizer), false).pairs[0]);
}

std::vector<float> read_labels(const std::string& path) {
  return std::move(read_pairs(path, {nullptr}, false).pairs[0].labels);
}

Pairs parse_pairs(std::string_view text, const std::string& name, WordPiece* tokenizer) {
  PairReader reader(name, tokenizers_of(tokenizer));
  reader.add(check_text(text, name));
  return std::move(take_all(reader).pairs[0]);
}

}  // namespace warpbert::io
