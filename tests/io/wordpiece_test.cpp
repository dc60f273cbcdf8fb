#include "io/wordpiece.h"

#include <doctest/doctest.h>

#include "io/error.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

const std::vector<std::string> vocab = {"[PAD]",  "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff",
                                        "##able", "deep",  "Deep",  "cafe",  "café",   "深", "度",
                                        "[",      "]",     ",",     "。",    "$",      "a",  "##a",
                                        "aa",     "σ",     "##σ",   "##ς",   "mask",   "—"};

// Returns the tokens, separated by spaces.
std::string cut(const std::string& text, bool lowercase = true) {
  io::WordPiece tokenizer(vocab, "vocab.txt", lowercase);
  std::vector<int> ids, again;
  tokenizer.encode(text, ids);
  tokenizer.encode(text, again);  // from the cache
  CHECK(ids == again);
  std::string words;
  for (int id : ids) words += (words.empty() ? "" : " ") + vocab[size_t(id)];
  return words;
}

}  // namespace

TEST_CASE("wordpiece: the longest token first, and all of a word or [UNK]") {
  CHECK(cut("unaffable") == "un ##aff ##able");
  CHECK(cut("aaaa") == "aa ##a ##a");
  CHECK(cut("unaffabl deep") == "[UNK] deep");
  CHECK(cut("affable") == "[UNK]");  // aff exists only as ##aff
  CHECK(cut("").empty());
  CHECK(cut(" \t\r\n ").empty());
  CHECK(cut("aa" + std::string(98, 'a')).substr(0, 6) == "aa ##a");  // 100 characters
  CHECK(cut("aa" + std::string(99, 'a')) == "[UNK]");
}

TEST_CASE("wordpiece: case and accents") {
  CHECK(cut("DEEP Café cafe\u0301") == "deep cafe cafe");
  CHECK(cut("DEEP Deep café", false) == "[UNK] Deep café");
  CHECK(cut("cafe\u0301", false) == "[UNK]");  // no Unicode composition
  CHECK(cut("ΣΣ") == "σ ##σ");                 // no final sigma
}

TEST_CASE("wordpiece: white space, control characters, ideographs and punctuation") {
  CHECK(cut("深度deep深") == "深 度 deep 深");
  CHECK(cut("a,a。a$a—[a]") == "a , a 。 a $ a — [ a ]");
  CHECK(cut("a\u3000a\u00a0a\u2028a") == "a a a a");
  CHECK(cut("de\u200bep de\u00adep de\x07"
            "ep\ufffd \u007fa") == "deep deep deep a");
  CHECK(cut(std::string("de\0ep", 5)) == "deep");
  CHECK(cut("a\U000E000Ba") == "[UNK]");  // unassigned code point: kept
}

TEST_CASE("wordpiece: special tokens in the text") {
  CHECK(cut("a[MASK]deep [SEP][CLS] [PAD]") == "a [MASK] deep [SEP] [CLS] [PAD]");
  CHECK(cut("[mask] [[MASK]]") == "[ mask ] [ [MASK] ]");
  CHECK(cut("[MA\u200bSK]") == "[ mask ]");  // special tokens are matched in the raw text
}

TEST_CASE("wordpiece: lowercase_text") { CHECK(io::lowercase_text("Café ΣΣ 深 é\u0301") == "cafe σσ 深 e"); }

TEST_CASE("wordpiece: find_malformed_utf8 is strict") {
  CHECK(io::find_malformed_utf8("a深\U0001F600\ufffd") == std::string::npos);
  for (const char* bad :
       {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe6\xb7", "\x80", "\xe6\xb7z"})
    CHECK(io::find_malformed_utf8(std::string("ab") + bad) == 2);
}

TEST_CASE("wordpiece: vocabularies that are refused") {
  const auto refused = [](std::vector<std::string> words) {
    return message_of<io::Error>([&] { io::WordPiece(words, "v.txt", true); });
  };
  CHECK(refused({"[PAD]", "[CLS]", "[SEP]", "a"}) == "v.txt lacks [UNK], [MASK]: it is no BERT vocabulary");
  CHECK(refused({"[PAD]", "a\xff"}) == "v.txt: line 2 is not UTF-8");
}
