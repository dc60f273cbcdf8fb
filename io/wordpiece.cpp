#include "wordpiece.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "error.h"

namespace warpbert::io {

size_t find_malformed_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t start = i;
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      i++;
      continue;
    }
    UChar32 c;
    U8_NEXT(text.data(), i, text.size(), c);
    if (c < 0) return start;
  }
  return text.npos;
}

namespace {

enum class Kind : uint8_t { other, dropped, space, ideograph, mark, punctuation };

bool is_ideograph(UChar32 c) {  // BERT's blocks; `tokenizers` has U+2B920 where Google has U+2B820
  constexpr std::pair<UChar32, UChar32> blocks[] = {
      {0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df}, {0x2a700, 0x2b73f},
      {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0xf900, 0xfaff},   {0x2f800, 0x2fa1f}};
  return std::any_of(std::begin(blocks), std::end(blocks),
                     [&](const auto& block) { return c >= block.first && c <= block.second; });
}

// General categories of Unicode 8, as in `tokenizers`: newer characters have none, six have changed since.
Kind kind_by_unicode(UChar32 c) {
  if (c == '\t' || c == '\n' || c == '\r') return Kind::space;
  if (c > ' ' && c < 0x7f && !u_isalnum(c)) return Kind::punctuation;  // with $ + < = > ^ ` | ~, not in P*
  if (c == 0x166d || c == 0x111c9) return Kind::punctuation;
  if (c == 0x1734) return Kind::mark;
  if (c == 0x1885 || c == 0x1886 || c == 0xa9bd) return Kind::other;
  if (c == 0xfffd) return Kind::dropped;
  UVersionInfo age;
  u_charAge(c, age);
  const int8_t category = age[0] <= 8 ? u_charType(c) : int8_t(U_UNASSIGNED);
  const uint32_t mask = U_MASK(category);
  if (mask & (U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK)) return Kind::dropped;
  if (u_isUWhiteSpace(c)) return Kind::space;
  if (is_ideograph(c)) return Kind::ideograph;
  if (mask & U_GC_MN_MASK) return Kind::mark;
  return mask & U_GC_P_MASK ? Kind::punctuation : Kind::other;
}

Kind kind(UChar32 c) {
  static const std::vector<Kind> kinds = [] {
    std::vector<Kind> all(UCHAR_MAX_VALUE + 1);
    for (UChar32 i = 0; i <= UCHAR_MAX_VALUE; i++) all[size_t(i)] = kind_by_unicode(i);
    return all;
  }();
  return kinds[size_t(c)];
}

// `tokenizers` decomposes by Unicode 12.1.
const icu::Normalizer2& nfd() {
  UErrorCode error = U_ZERO_ERROR;
  static const icu::UnicodeSet known(u"[:age=12.1:]", error);
  static const icu::FilteredNormalizer2 instance(*icu::Normalizer2::getNFDInstance(error), known);
  if (U_FAILURE(error)) fail("ICU has no data for NFD: {}", u_errorName(error));
  return instance;
}

icu::UnicodeString decomposed(const icu::UnicodeString& text) {
  UErrorCode error = U_ZERO_ERROR;
  icu::UnicodeString out = nfd().normalize(text, error);
  if (U_FAILURE(error)) fail("ICU: NFD failed: {}", u_errorName(error));
  return out;
}

void append(std::string& text, UChar32 c) {
  char bytes[U8_MAX_LENGTH];
  int32_t size = 0;
  U8_APPEND_UNSAFE(bytes, size, c);
  text.append(bytes, size_t(size));
}

}  // namespace

std::string lowercase_text(std::string_view text) {
  const icu::UnicodeString all =
      decomposed(icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), int32_t(text.size()))));
  std::string lower;
  for (int32_t i = 0; i < all.length();) {
    const UChar32 c = all.char32At(i);
    i += U16_LENGTH(c);
    if (kind(c) != Kind::mark) append(lower, u_tolower(c));
  }
  return lower;
}

WordPiece::WordPiece(const std::vector<std::string>& vocab, const std::string& path, bool lowercase)
    : lowercase_(lowercase) {
  for (size_t id = 0; id < vocab.size(); id++) {
    const std::string& token = vocab[id];
    if (find_malformed_utf8(token) != token.npos) fail("{}: line {} is not UTF-8", path, id + 1);
    first_.emplace(token, int(id));
    if (token.starts_with("##")) further_.emplace(token.substr(2), int(id));
    longest_ = std::max(longest_, token.size());
  }
  std::string missing;
  for (size_t i = 0; i < special_tokens.size(); i++) {
    const auto found = first_.find(special_tokens[i]);
    if (found != first_.end()) special_[i] = found->second;
    else missing += (missing.empty() ? "" : ", ") + std::string(special_tokens[i]);
  }
  if (!missing.empty()) fail("{} lacks {}: it is no BERT vocabulary", path, missing);
}

void WordPiece::encode(std::string_view text, std::vector<int>& ids) {
  size_t from = 0;
  for (size_t bracket = text.find('['); bracket != text.npos; bracket = text.find('[', bracket)) {
    const auto here = [&](std::string_view token) { return text.substr(bracket).starts_with(token); };
    const auto found = std::find_if(special_tokens.begin(), special_tokens.end(), here);
    if (found == special_tokens.end()) {
      bracket++;
      continue;
    }
    encode_ordinary(text.substr(from, bracket - from), ids);
    ids.push_back(special_[size_t(found - special_tokens.begin())]);
    from = bracket += found->size();
  }
  encode_ordinary(text.substr(from), ids);
}

// Chunks between white space mostly repeat: their ids are cached.
void WordPiece::encode_ordinary(std::string_view text, std::vector<int>& ids) {
  constexpr size_t longest_known = 64, most_known = 1 << 18;
  constexpr std::string_view white = " \t\r\n";
  for (size_t start = text.find_first_not_of(white); start < text.size();) {
    const size_t end = std::min(text.find_first_of(white, start), text.size());
    const std::string_view chunk = text.substr(start, end - start);
    if (const auto found = known_.find(chunk); found != known_.end()) {
      ids.insert(ids.end(), found->second.begin(), found->second.end());
    } else {
      const size_t before = ids.size();
      encode_chunk(chunk, ids);
      if (known_.size() == most_known) known_.clear();
      if (chunk.size() <= longest_known)
        known_.emplace(chunk, std::vector<int>(ids.begin() + long(before), ids.end()));
    }
    start = text.find_first_not_of(white, end);
  }
}

void WordPiece::encode_chunk(std::string_view chunk, std::vector<int>& ids) {
  icu::UnicodeString text;
  for (size_t i = 0; i < chunk.size();) {
    UChar32 c;
    U8_NEXT(chunk.data(), i, chunk.size(), c);
    const Kind k = c < 0 ? Kind::dropped : kind(c);
    if (k == Kind::ideograph) text.append(u' ').append(c).append(u' ');
    else if (k == Kind::space) text.append(u' ');
    else if (k != Kind::dropped) text.append(c);
  }
  if (lowercase_) text = decomposed(text);
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) encode_word(word, ids);
    word.clear();
  };
  for (int32_t i = 0; i < text.length();) {
    UChar32 c = text.char32At(i);
    i += U16_LENGTH(c);
    if (lowercase_ && kind(c) == Kind::mark) continue;
    if (lowercase_) c = u_tolower(c);
    const Kind k = kind(c);
    if (k == Kind::space || k == Kind::punctuation) end_word();
    if (k != Kind::space) append(word, c);
    if (k == Kind::punctuation) end_word();
  }
  end_word();
}

void WordPiece::encode_word(std::string_view word, std::vector<int>& ids) const {
  constexpr long longest_word = 100;
  const auto starts_character = [](char byte) { return (byte & 0xc0) != 0x80; };
  const size_t before = ids.size();
  bool fits = std::count_if(word.begin(), word.end(), starts_character) <= longest_word;
  for (size_t start = 0; fits && start < word.size();) {
    const Map<int>& tokens = start ? further_ : first_;
    size_t end = std::min(word.size(), start + longest_);
    auto found = tokens.end();
    for (; end > start; end--) {
      if (end < word.size() && !starts_character(word[end])) continue;
      found = tokens.find(word.substr(start, end - start));
      if (found != tokens.end()) break;
    }
    fits = found != tokens.end();
    if (fits) ids.push_back(found->second);
    start = end;
  }
  if (fits) return;
  ids.resize(before);
  ids.push_back(special_[1]);
}

}  // namespace warpbert::io
