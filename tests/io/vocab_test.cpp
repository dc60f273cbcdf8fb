#include "io/vocab.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "io/error.h"
#include "io/text.h"
#include "tests/support/captured.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

using Tokens = std::vector<std::string>;
using Json = nlohmann::json;

struct Files {
  TemporaryFolder folder;
  std::string refusal(const std::string& text, const std::string& name = "vocab.txt") {
    const std::string path = folder.write(name, text);
    return message_of<io::Error>([&] { io::read_vocab(path); }).substr(path.size());
  }
  // Warnings of reading a vocabulary and using it in this case, the path replaced by V.
  std::string warnings(const std::string& path, bool lowercase) {
    const Captured captured(stderr);
    const io::VocabFile vocab = io::read_vocab_file(path);
    const auto conflict = io::case_conflict(path, vocab, lowercase, lowercase ? "lower" : "cased");
    if (conflict) io::print_warning(*conflict);
    std::string text = captured.text();
    for (size_t at = text.find(path); at != text.npos; at = text.find(path))
      text.replace(at, path.size(), "V");
    return text;
  }
};

// A tokenizer.json as transformers writes it.
Json tokenizer(const Tokens& tokens) {
  Json vocab = Json::object();
  for (size_t id = 0; id < tokens.size(); id++) vocab[tokens[id]] = id;
  const Json unk = {{"id", 1}, {"content", "[UNK]"}, {"special", true}};
  return {{"version", "1.0"},
          {"added_tokens", {unk}},
          {"normalizer",
           {{"type", "BertNormalizer"},
            {"clean_text", true},
            {"handle_chinese_chars", true},
            {"strip_accents", nullptr},
            {"lowercase", true}}},
          {"model",
           {{"type", "WordPiece"},
            {"unk_token", "[UNK]"},
            {"continuing_subword_prefix", "##"},
            {"max_input_chars_per_word", 100},
            {"vocab", vocab}}}};
}

const Tokens words = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "deep", "##er", "深"};

}  // namespace

TEST_CASE("vocab.txt: a token a line, blanks inside kept, a second column ignored") {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& text) { return io::read_vocab(folder.write("v.txt", text)); };
  CHECK(read("[PAD]\r\n##ab\r\n") == Tokens{"[PAD]", "##ab"});
  CHECK(read("a\nb") == Tokens{"a", "b"});
  CHECK(read("\xef\xbb\xbf[PAD]\n[UNK]\n") == Tokens{"[PAD]", "[UNK]"});
  CHECK(read("a \n\"\\\nnew york\nx\u00a0y\nx\u3000y\nnew\n") ==
        Tokens{"a", "\"\\", "new york", "x\u00a0y", "x\u3000y", "new"});
  CHECK(read("\u3000\nb\n\n \r\n") == Tokens{"\u3000", "b"});
  CHECK(read("the\t17\nof \t 9\n") == Tokens{"the", "of"});
  CHECK(read("the\t17\nof\n") == Tokens{"the\t17", "of"});
  CHECK(read("the 17\nnew york  9\n") == Tokens{"the", "new york"});
  CHECK(read("the 17\nof\n") == Tokens{"the 17", "of"});
  CHECK(read("the 1\nof x2\n") == Tokens{"the 1", "of x2"});
  CHECK(read("a 0\nb 1\nc\t2\n") == Tokens{"a", "b", "c"});  // ids
  CHECK(read("a 1\nb 2\n") == Tokens{"a", "b"});             // from 1
}

TEST_CASE("vocab.txt: faults are named with their line, and with the way out") {
  Files files;
  CHECK(files.refusal("a\nb\na\n") ==
        ": line 3: 'a' is there already, in line 1; ids count lines: put a placeholder there, such as "
        "[unused2]");
  CHECK(files.refusal("a\n \nb\n") ==
        ": line 2: no token; ids count lines: put a placeholder there, such as [unused1]");
  for (const char* text : {"a 0\nb 2\nc 1\n", "a\t0\nb\t2\nc\t1\n"})
    CHECK(files.refusal(text) ==
          ": line 2: 'b' has the number 2, but ids count lines from 0; sort the lines by their numbers");
  CHECK(files.refusal("") == ": no tokens");
  CHECK(files.refusal("\n\n") == ": no tokens");
  CHECK(files.refusal(std::string("[\0P\0", 4)) == ": is UTF-16; save it as UTF-8 or plain ASCII");
}

TEST_CASE("tokenizer.json: tokens by id, added ones last") {
  Files files;
  const auto read = [&](const Json& json, const char* name = "tokenizer.json") {
    return io::read_vocab_file(files.folder.write(name, json.dump()));
  };
  CHECK(read(tokenizer(words)).tokens == words);
  CHECK(read(tokenizer(words), "v.txt").tokens == words);  // told by content
  CHECK(read(tokenizer(words)).lowercase == true);

  Json json = tokenizer(words);
  json["added_tokens"].push_back({{"id", 8}, {"content", "[E1]"}, {"special", true}});
  Tokens more = words;
  more.push_back("[E1]");
  {
    const Captured captured(stderr);
    CHECK(read(json).tokens == more);
    CHECK(captured.text().ends_with(
        "tokenizer.json: 1 added tokens, such as '[E1]', keep their rows, but texts are tokenized as if they "
        "were ordinary ones\n"));
  }
  json = tokenizer(words);
  json["normalizer"]["lowercase"] = false;
  CHECK(read(json).lowercase == false);
  json["normalizer"] = nullptr;
  CHECK(read(json).lowercase == false);
  json["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers", {{{"type", "NFD"}}, {{"type", "Lowercase"}}, {{"type", "StripAccents"}}}}};
  CHECK(read(json).lowercase == true);
}

TEST_CASE("tokenizer.json: what is no WordPiece of BERT is named") {
  Files files;
  const auto refused = [&](auto change) {
    Json json = tokenizer(words);
    change(json);
    return files.refusal(json.dump(), "tokenizer.json");
  };
  CHECK(refused([](Json& j) { j["model"]["type"] = "BPE"; }) ==
        ": its model is \"BPE\", not BERT's WordPiece");
  CHECK(refused([](Json& j) { j["model"].erase("type"), j["model"]["merges"] = Json::array(); }) ==
        ": its model is \"BPE\", not BERT's WordPiece");
  CHECK(refused([](Json& j) {
          j["model"] = {{"type", "Unigram"}, {"vocab", {{"a", -1.5}}}};
        }) == ": its model is \"Unigram\", not BERT's WordPiece");
  CHECK(refused([](Json& j) { j["model"]["unk_token"] = "<unk>"; }) ==
        ": unk_token is \"<unk>\"; BERT's is [UNK]");
  CHECK(refused([](Json& j) { j["model"]["continuing_subword_prefix"] = "@@"; }) ==
        ": continuing_subword_prefix is \"@@\"; BERT's is ##");
  CHECK(refused([](Json& j) { j["model"]["vocab"]["深"] = 9; }) ==
        ": '深' has the id 9, but there are 8 tokens; ids without one need a placeholder, such as [unused8]");
  CHECK(refused([](Json& j) { j["model"]["vocab"]["深"] = 5; }).ends_with(" have one id, 5"));
  CHECK(refused([](Json& j) { j["model"]["vocab"]["深"] = -1; }) == ": the id of '深' is -1");
  CHECK(refused([](Json& j) { j["added_tokens"][0]["id"] = 8; }) == ": '[UNK]' has two ids, 1 and 8");
  CHECK(refused([](Json& j) { j["added_tokens"][0].erase("content"); }) ==
        ": added_tokens: an entry without content");
  CHECK(refused([](Json& j) { j["model"]["vocab"]["a\nb"] = 8; }) == ": the token of id 8 is of two lines");
  for (const char* token : {" a", "a\r", "a\t", "a\x1a"})  // an exported vocab.txt would lose them
    CHECK(refused([&](Json& j) { j["model"]["vocab"][token] = 8; }) ==
          ": the token of id 8 is " + io::quote(token) +
              "; vocab.txt cannot hold white space or ^Z at its ends");
  CHECK(refused([](Json& j) { j.erase("model"); }) ==
        ": JSON, but no tokenizer.json of a BERT: there is no object 'model'");
  CHECK(files.refusal("{\"deep\": 1", "tokenizer.json") ==
        ": no JSON object; a tokenizer.json of transformers was expected");
}

TEST_CASE("tokenizer.json: normalizers that are not followed are warned of") {
  Files files;
  const auto warnings = [&](auto change) {
    Json json = tokenizer(words);
    change(json["normalizer"], json["model"]);
    return files.warnings(files.folder.write("t.json", json.dump()), true);
  };
  Json json = tokenizer(words);
  json["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
  CHECK(files.warnings(files.folder.write("t.json", json.dump()), true).empty());
  json["pre_tokenizer"] = {{"type", "Whitespace"}};
  CHECK(
      files.warnings(files.folder.write("t.json", json.dump()), true) ==
      "warning: V: pre_tokenizer = \"Whitespace\" is not followed: words end at white space and punctuation "
      "here\n");
  CHECK(warnings([](Json&, Json&) {}).empty());
  CHECK(warnings([](Json& n, Json&) { n["strip_accents"] = false; }) ==
        "warning: V: strip_accents = false is not followed: accents go with capitals here, and with them "
        "alone\n");
  CHECK(warnings([](Json& n, Json&) { n["handle_chinese_chars"] = false; }) ==
        "warning: V: handle_chinese_chars = false is not followed: every ideograph is a word here\n");
  CHECK(warnings([](Json& n, Json&) { n["clean_text"] = false; }) ==
        "warning: V: clean_text = false is not followed: control characters are dropped here\n");
  CHECK(warnings([](Json&, Json& m) { m["max_input_chars_per_word"] = 50; }) ==
        "warning: V: max_input_chars_per_word = 50 is not followed: words of more than 100 characters are "
        "[UNK]\n");
  json["pre_tokenizer"] = {{"type", "Whitespace"}};
  json["added_tokens"].push_back({{"id", 8}, {"content", "[E1]"}});
  const Captured captured(stderr);
  CHECK(io::read_vocab(files.folder.write("t.json", json.dump())).size() == 9);
  CHECK(captured.text().empty());  // no text is tokenized
}

TEST_CASE("vocab: a case that contradicts the vocabulary is warned of") {
  Files files;
  std::string uncased = "[PAD]\n[UNK]\n[CLS]\n<S>\nDeep\ndeep\ncafé\ncafe\n";  // twins, and an oddity
  for (int i = 0; i < 100; i++) uncased += fmt::format("w{}\n", i);
  const std::string plain = files.folder.write("plain.txt", uncased);
  CHECK(files.warnings(plain, true).empty());
  CHECK(files.warnings(plain, false).empty());
  const std::string cased = files.folder.write("cased.txt", uncased + "Paris\nLondon\nété\n");
  CHECK(files.warnings(cased, true) ==
        "warning: V: 4 of 111 tokens, such as '<S>', have capitals or accents: this looks like a cased "
        "vocabulary, "
        "but lower\n");
  CHECK(files.warnings(cased, false).empty());

  const auto config = [&](const std::string& text) { files.folder.write("tokenizer_config.json", text); };
  config(R"({"do_lower_case": false})");
  CHECK(files.warnings(plain, true) ==
        "warning: V: its tokenizer's configuration says cased text, but lower\n");
  CHECK(files.warnings(plain, false).empty());
  config("\xef\xbb\xbf{\"do_lower_case\": true}");
  CHECK(files.warnings(plain, true).empty());
  CHECK(files.warnings(plain, false) ==
        "warning: V: its tokenizer's configuration says lower-case text, but cased\n");
  config("{}");
  CHECK(files.warnings(plain, false).empty());
  config("{");
  CHECK(files.warnings(plain, false).find("tokenizer_config.json: not read: ") != std::string::npos);
}
