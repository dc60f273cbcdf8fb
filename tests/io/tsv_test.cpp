#include "io/tsv.h"

#include <doctest/doctest.h>

#include "io/error.h"
#include "io/wordpiece.h"
#include "tests/support/captured.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

using Ids = std::vector<int64_t>;
static Ids ids(std::span<const int64_t> sentence) { return {sentence.begin(), sentence.end()}; }
static io::Pairs parse(const std::string& text) { return io::parse_pairs(text, "p.tsv"); }
static std::string refusal(const std::string& text) {
  return message_of<io::Error>([&] { parse(text); });
}

TEST_CASE("tsv: rows with label, soft label and none") {
  const io::Pairs pairs = parse("1 2 3\t4\t1\n0\t9223372036854775807 7\n5\t6 6\t0.25\n8\t8\t0\n");
  REQUIRE(pairs.size() == 4);
  CHECK(ids(pairs.a(0)) == Ids{1, 2, 3});
  CHECK(ids(pairs.b(0)) == Ids{4});
  CHECK(ids(pairs.a(1)) == Ids{0});
  CHECK(ids(pairs.b(1)) == Ids{INT64_MAX, 7});
  CHECK(ids(pairs.b(2)) == Ids{6, 6});
  CHECK(pairs.labels == std::vector<float>{1, io::no_label, 0.25f, 0});
  CHECK(pairs.count_labelled() == 3);
  CHECK(pairs.labels[1] == io::no_label);
  CHECK(pairs.starts == std::vector<size_t>{0, 3, 4, 5, 7, 8, 10, 11, 12});
}

TEST_CASE("tsv: what strip() forgives") {
  const std::string expected = "1 2\t3\t1\n4\t5\n";
  const io::Pairs plain = parse(expected);
  for (const char* text : {"1 2\t3\t1\n4\t5", "1 2\t3\t1\r\n4\t5\r\n",
                           "\xef\xbb\xbf"
                           "1 2\t3\t1\n4\t5\n",
                           "1 2\t3\t1\t\n4\t5\t\n", "  1 2\t3\t1 \n4\t5  \n", "1 2\t3\t1.0\n4\t5\t\t\r\n",
                           "1 2\t3\t 1e0\n4\t5\n\n \n\r\n"}) {
    CAPTURE(text);
    const io::Pairs pairs = parse(text);
    CHECK(pairs.ids == plain.ids);
    CHECK(pairs.starts == plain.starts);
    CHECK(pairs.labels == plain.labels);
  }
}

TEST_CASE("tsv: refused, with file and line") {
  CHECK(refusal("1\t2\n1 x\t2\n") ==
        "p.tsv: line 2: 'x' is no id; expected a non-negative integer; plain text needs data.text = true, in "
        "training too");
  CHECK(refusal("1\t2\n1 2\t\n") == "p.tsv: line 2: the second sentence is empty");
  CHECK(refusal("1\t2\n1 2\t\t\n") == "p.tsv: line 2: the second sentence is empty");
  CHECK(
      refusal("\xe7\x87\x88\t2\n").ends_with("integer; plain text needs data.text = true, in training too"));
  CHECK(refusal("1\t2\n1\t-2\n") == "p.tsv: line 2: '-2' is no id; expected a non-negative integer");
  CHECK(refusal("-0\t2\n") == "p.tsv: line 1: '-0' is no id; expected a non-negative integer");
  CHECK(refusal("1.5\t2\n") == "p.tsv: line 1: '1.5' is no id; expected a non-negative integer");
  CHECK(refusal("+1\t2\n") == "p.tsv: line 1: '+1' is no id; expected a non-negative integer");
  CHECK(refusal("1\t2,3\n") == "p.tsv: line 1: '2,3' is no id; expected a non-negative integer");
  CHECK(refusal("9223372036854775808\t2\n") ==
        "p.tsv: line 1: id '9223372036854775808' is too large (at most 9223372036854775807)");
  CHECK(refusal("-9223372036854775809\t2\n").find("is no id") != std::string::npos);
  CHECK(refusal("1  2\t3\n") == "p.tsv: line 1: a space too many; ids are separated by single spaces");
  CHECK(refusal("1 \t3\n") == "p.tsv: line 1: a space too many; ids are separated by single spaces");
  CHECK(refusal("1\t 3\n") == "p.tsv: line 1: a space too many; ids are separated by single spaces");
  CHECK(refusal("1 2 3\n") == "p.tsv: line 1: one column; expected ids<TAB>ids[<TAB>label]");
  CHECK(refusal("1\t2\t1\t5\n") == "p.tsv: line 1: 4 columns; expected ids<TAB>ids[<TAB>label]");
  CHECK(refusal("\t2\t1\n") == "p.tsv: line 1: the first sentence is empty");
  CHECK(refusal("1\t\t1\n") == "p.tsv: line 1: the second sentence is empty");
  CHECK(refusal("1\t \t1\n") == "p.tsv: line 1: the second sentence is empty");
  CHECK(refusal("1\t2\n\n\n3\t4\n") == "p.tsv: line 2: blank line between rows; delete it");
  CHECK(refusal("1\t2\t0\r\n\r\n3\t4\r\n") == "p.tsv: line 2: blank line between rows; delete it");
}

TEST_CASE("tsv: labels outside [0, 1] are refused") {
  for (const char* label : {"2", "-1", "1.0001", "nan", "NaN", "inf", "yes", "0x1", "1,0", "0 1", "1e400",
                            "-5", "+1", "1e-400"}) {
    CAPTURE(label);
    CHECK(refusal("1\t2\t0\n3\t4\t" + std::string(label) + "\n") ==
          "p.tsv: line 2: '" + std::string(label) +
              "' is no label; expected 0, 1 or a number between (leave the column out for unlabelled pairs)");
  }
  CHECK(parse("1\t2\t0.999\n").labels[0] == 0.999f);
}

TEST_CASE("tsv: files without rows, and bytes that are no text") {
  for (const char* text : {"", "\n", " \n\r\n", "\xef\xbb\xbf", "\t\n"})
    CHECK(refusal(text) == "p.tsv: no rows; expected lines of ids<TAB>ids[<TAB>label]");
  CHECK(refusal("\xff\xfe"
                "1\t2") == "p.tsv: is UTF-16; save it as UTF-8 or plain ASCII");
  CHECK(refusal(std::string("1\t2\n\x01\x1b[31m\t2\n")) ==
        "p.tsv: line 2: '\\x01\\x1b[31m' is no id; expected a non-negative integer; plain text needs "
        "data.text = true, "
        "in "
        "training too");
  CHECK(refusal(std::string("1 \0 2\t2\n", 8)) ==
        "p.tsv: line 1: '\\x00' is no id; expected a non-negative integer");
}

TEST_CASE("tsv: plain text is tokenized, with the labels and lines of ids") {
  const std::vector<std::string> vocab = {"hello", "[UNK]", "[PAD]", "##s", "[MASK]", "lamp",
                                          "[CLS]", "燈",    "[SEP]", "?",   "7"};
  io::WordPiece lower(vocab, "v.txt", true), cased(vocab, "v.txt", false);
  const auto cut = [&](const std::string& text) { return io::parse_pairs(text, "t.tsv", &lower); };
  const io::Pairs pairs = cut("\xef\xbb\xbfHello  lamps?\t燈燈\t1\r\n  [MASK] 7\tdoor\n[PAD]\tHELLO\t0.5\n");
  REQUIRE(pairs.size() == 3);
  CHECK(ids(pairs.a(0)) == Ids{0, 5, 3, 9});
  CHECK(ids(pairs.b(0)) == Ids{7, 7});
  CHECK(ids(pairs.a(1)) == Ids{4, 10});
  CHECK(ids(pairs.b(1)) == Ids{1});
  CHECK(ids(pairs.a(2)) == Ids{2});
  CHECK(pairs.labels == std::vector<float>{1, io::no_label, 0.5f});
  CHECK(ids(io::parse_pairs("Hello\thello", "t.tsv", &cased).a(0)) == Ids{1});

  const auto refused = [&](const std::string& text) { return message_of<io::Error>([&] { cut(text); }); };
  CHECK(refused("hello\tlamp\nhello \xe7\x87\t1\n") ==
        "t.tsv: line 2: the first sentence is no UTF-8 from its byte 7 on; save the file as UTF-8");
  CHECK(refused("hello\t\xff\n")
            .starts_with("t.tsv: line 1: the second sentence is no UTF-8 from its byte 1 on"));
  CHECK(refused("hello\tlamp\nhello\t\xe2\x80\x8b\x01\t1\n") ==
        "t.tsv: line 2: the second sentence is empty");
  CHECK(refused("\thello\n") == "t.tsv: line 1: the first sentence is empty");
  CHECK(refused("hello\n") == "t.tsv: line 1: one column; expected sentence<TAB>sentence[<TAB>label]");
  CHECK(refused("a\tb\t1\tc\n") == "t.tsv: line 1: 4 columns; expected sentence<TAB>sentence[<TAB>label]");
  CHECK(refused("hello\tlamp\tyes\n").starts_with("t.tsv: line 1: 'yes' is no label"));
  CHECK(refused("\n") == "t.tsv: no rows; expected lines of sentence<TAB>sentence[<TAB>label]");
}

namespace {

const std::vector<std::string> letters = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "\""};

// Reads text with or without a tokenizer; returns what stderr says. `lines`: indices of rows, -1 for gaps.
struct Reading {
  io::WordPiece tokenizer{letters, "v.txt", true};
  std::string said, error;
  std::vector<int> lines;
  Reading(const std::string& text, bool plain, bool skip_bad = false) {
    const Captured captured(stderr);
    error = message_of<io::Error>([&] {
      io::PairReader reader("f", plain ? std::vector{&tokenizer} : std::vector<io::WordPiece*>(), skip_bad);
      for (const char byte : text) reader.add({&byte, 1});
      reader.finish();
      const io::PairLines read = reader.take(1000);
      lines.resize(read.size());
      for (size_t gap : read.gaps) lines[gap] = -1;
      int row = 0;
      for (int& line : lines)
        if (line != -1) line = row++;
      CHECK(row == int(read.pairs[0].size()));
    });
    said = captured.text();
  }
};

}  // namespace

TEST_CASE("tsv: a line break inside a cell is refused, or warned of") {
  const std::string good = "a\tb\t1\na\tc\t0\n";
  const auto error = [&](const std::string& text, bool plain = true) { return Reading(text, plain).error; };
  // As spreadsheets write it. The first half is a row of its own, without a label.
  const std::string refused =
      "f: line 4: closes a quote that line 3 opens: a line break inside a cell? A row is one line";
  CHECK(error(good + "a\t\"b c\nc\"\t0\n" + good) == refused);
  CHECK(error(good + "a\t\"\n c\"\t1\r\n") == refused);
  CHECK(error(good + "a\t\"b \"\"c\"\"\n\"\"\"\t0.5\n") == refused);
  CHECK(error(good + "a\t\"b\nc\"\n").starts_with("f: line 4: one column; expected sentence<TAB>sentence"));
  CHECK(error(good + "a\t\"b\nc\"\n").ends_with("; a line break inside a quoted cell?"));
  CHECK(error("\"a\nb\"\tc\t1\n") ==
        "f: line 1: one column; expected sentence<TAB>sentence[<TAB>label]; a line break inside a quoted "
        "cell?");
  // Quotes of texts.
  for (const std::string text :
       {"a\t\"b\t1\nc\"\ta\t0\n", "a\t\"b\nc\"\ta\n", "\"a\"\t\"b\"\n\"\t0\n", "a\tb\"\nb\"\t1\n"})
    CHECK(error(text).empty());

  // Without quotes two rows without labels are all that is left, the second's sentence is the label.
  const std::string warned =
      "warning: f: line 4: looks like the rest of the row before: its second sentence is a label, and "
      "neither has "
      "one; a line break inside a cell?";
  CHECK(Reading(good + "a\tb\nc\t1\n", true).said == warned + "\n");
  CHECK(Reading("1\t2\t1\n1\t3\t0\n5\t6 7\n8\t0\n", false).said == warned + "\n");
  CHECK(Reading(good + "a\tb\nc\t1\na\tb\t1\na\tb\nc\t0.5\n", true).said == warned + " (2 such lines)\n");
  for (const std::string text :
       {"5\t6\n7\t1\n8\t0\n", "5\t6\n7\t1\n8\t2\n9\t3\n5\t6\t1\n", "1\t2\t1\n5\t1\n7\t1\t1\n8\t0\n"})
    CHECK(Reading(text, false).said.empty());
}

TEST_CASE("tsv: header lines") {
  for (const char* header : {"sentence1\tsentence2", "Text_A\tText_B", "\"question1\"\t\"question2\"",
                             "query\ttitle", "句子1\t句子2", "s1\ts2"}) {
    CAPTURE(header);
    const std::string said = Reading(header + std::string("\na\tb\n"), true).said;
    CHECK(said.starts_with("warning: f: line 1: "));
    CHECK(said.ends_with(" look like a header line, but count as a pair\n"));
    const std::string advice = "; this looks like a header line: delete it";
    CHECK(Reading(header + std::string("\tlabel\na\tb\t1\n"), true).error.ends_with(advice));
    CHECK(Reading(header + std::string("\n1\t2\n"), false).error.ends_with(advice));
    CHECK(Reading(std::string("a\tb\n") + header + "\n", true).said.empty());  // in another line
    CHECK(Reading(header + std::string("\t1\n"), true).said.find("header") == std::string::npos);
  }
  for (const char* row :
       {"a\tb\n", "how are you\thow old are you\n", "1\t2\n", "21\t22\n", "a1\ta2\n", "text\tb\n"}) {
    CAPTURE(row);
    CHECK(Reading(row + std::string("a\tb\n"), true).said.empty());
  }
}

TEST_CASE("tsv: ids for a model of text, and ids of a spreadsheet") {
  CHECK(Reading("1 2\t3\n4\t5\t1\n", true).said ==
        "warning: f: all sentences are numbers; data.text = true takes them for words, and not for ids\n");
  CHECK(Reading("1 2\t3\n4\ta\n", true).said.empty());
  CHECK(Reading("1 2\t3\n", false).said.empty());
  for (const std::string id : {"1.2E+05", "1E5", "2,57e+04", "1.5e-3"})
    CHECK(refusal("7 " + id + " 8\t2\n") ==
          "p.tsv: line 1: '" + id +
              "' is no id, but a number that a spreadsheet has rounded; export its columns as text");
  for (const std::string id : {"E5", "1.2E", "1.E5", "0x1E5", "1.2.3E5"})
    CHECK(refusal(id + "\t2\n").find("spreadsheet") == std::string::npos);
}

TEST_CASE("tsv: cells in quotes") {
  CHECK(refusal("\"1 2\"\t3\n") ==
        "p.tsv: line 1: '\"1' is no id; expected a non-negative integer; cells are written without quotes");
  CHECK(Reading("\"a b\"\t\"c\"\t1\n\"a\"\t\"b\"\n", true).said ==
        "warning: f: all sentences are in quotes, which are read as text; write cells without them\n");
  CHECK(Reading("\"a b\"\t\"c\"\t1\n\"a\"\tb\n", true).said.empty());
}

TEST_CASE("tsv: ^Z and lines that end in CR alone are named") {
  CHECK(refusal("1\t2\n\x1a") ==
        "p.tsv: line 2: ^Z (byte 0x1a), an end-of-file mark of DOS programs; delete it");
  CHECK(refusal("1\t2\n1\t2\x1a\r\n").starts_with("p.tsv: line 2: ^Z"));
  CHECK(refusal("1\t2\t1\r3\t4\t0\r").ends_with("; its lines seem to end in CR alone"));
}

TEST_CASE("tsv: with skip_bad lines that are no rows are gaps") {
  const Reading ids("1\t2\nx\t2\n\n3\t4\t1\n5\n6\t7\n\n", false, true);
  CHECK(ids.error.empty());
  CHECK(ids.lines == std::vector<int>{0, -1, -1, 1, -1, 2, -1});
  const std::string prefix = "warning: f: line ";
  CHECK(ids.said.starts_with(prefix + "2: no score: 'x' is no id"));
  CHECK(ids.said.find(prefix + "3: no score: blank line\n" + prefix + "5: no score: one column;") !=
        std::string::npos);
  CHECK(ids.said.ends_with(prefix + "7: no score: blank line\n"));
  CHECK(Reading("x\n", false, true).lines == std::vector<int>{-1});
  CHECK(Reading("", false, true).error.starts_with("f: no rows"));
  // Half a row is none.
  const Reading halves("a\tb\t1\na\t\"b\nc\"\t0\na\tb\t1\n", true, true);
  CHECK(halves.lines == std::vector<int>{0, -1, -1, 1});
  CHECK(halves.said.starts_with(prefix + "2: no score: opens a quote that line 3 closes\n" + prefix +
                                "3: no score: closes"));
}

TEST_CASE("tsv: a row that one tokenizer refuses is none for all") {
  io::WordPiece lower(letters, "v.txt", true), cased(letters, "v.txt", false);
  io::PairReader reader("f", {&cased, &lower}, true);
  const Captured captured(stderr);
  reader.add("a\tb\n\u0301\tb\nb\tc\t1\n");  // an accent alone is dropped in lower case
  reader.finish();
  const io::PairLines read = reader.take(10);
  CHECK(read.gaps == std::vector<size_t>{1});
  for (const io::Pairs& pairs : read.pairs) {
    CHECK(ids(pairs.a(0)) == Ids{5});
    CHECK(ids(pairs.a(1)) == Ids{6});
    CHECK(pairs.starts.size() == 5);
    CHECK(pairs.labels == std::vector<float>{io::no_label, 1});
  }
}

TEST_CASE("tsv: a name with control characters is escaped in each warning of a file") {
  const io::WordPiece tokenizer({"[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "1", "2", "a"}, "vocab.txt",
                                true);
  io::WordPiece own = tokenizer;
  const auto said = [&](const char* text, std::vector<io::WordPiece*> tokenizers) {
    const Captured captured(stderr);
    io::PairReader reader("a\x1b[31m", std::move(tokenizers));
    reader.add(text);
    reader.finish();
    return captured.text();
  };
  CHECK(said("1\t2\n", {&own}).starts_with("warning: a\\x1b[31m: all sentences are numbers; "));
  CHECK(
      said("1\t2\n2\t1\n1\t2\t1\n", {}).starts_with("warning: a\\x1b[31m: line 2: looks like the rest of "));
}

TEST_CASE("tsv: lines are taken as they come") {
  io::PairReader reader("f", {}, true);
  const Captured captured(stderr);
  reader.add("1\t2\nx\n3 4\t5\t1\n6");
  CHECK(reader.size() == 3);
  const io::PairLines first = reader.take(1);
  CHECK(ids(first.pairs[0].a(0)) == Ids{1});
  CHECK(first.gaps.empty());
  CHECK(reader.take(1).gaps == std::vector<size_t>{0});
  CHECK(reader.size() == 1);
  reader.add("\t7\ny\n8\t9");
  reader.finish();
  const io::PairLines rest = reader.take(10);
  REQUIRE(rest.pairs[0].size() == 3);
  CHECK(ids(rest.pairs[0].a(0)) == Ids{3, 4});
  CHECK(ids(rest.pairs[0].b(2)) == Ids{9});
  CHECK(rest.pairs[0].labels == std::vector<float>{1, io::no_label, io::no_label});
  CHECK(rest.gaps == std::vector<size_t>{2});
  CHECK(reader.size() == 0);
  CHECK(reader.take(1).size() == 0);
}

TEST_CASE("tsv: from a file, and which file cannot be read") {
  const TemporaryFolder folder;
  CHECK(io::read_pairs(folder.write("good.tsv", "1\t2\n")).size() == 1);
  const auto refused = [](const std::string& path) {
    return message_of<io::Error>([&] { io::read_pairs(path); });
  };
  CHECK(refused(folder.write("bad.tsv", "1\t2\n3")) ==
        folder / "bad.tsv" + ": line 2: one column; expected ids<TAB>ids[<TAB>label]");
  CHECK(refused(folder / "none.tsv") ==
        folder / "none.tsv" + ": cannot be opened: No such file or directory");
  CHECK(refused(folder / "") == folder / "" + ": cannot be read: Is a directory");
  const std::string secret = folder.write("secret.tsv", "1\t2\n");
  std::filesystem::permissions(secret, std::filesystem::perms::none);
  // root ignores permissions
  if (geteuid() != 0) CHECK(refused(secret) == secret + ": cannot be opened: Permission denied");
}

TEST_CASE("tsv: labels alone, of ids and of text, with the errors of all columns") {
  const TemporaryFolder folder;
  const auto read = [&](const char* text) { return io::read_labels(folder.write("x.tsv", text)); };
  CHECK(read("1 2\t3\t1\nany text, 北京\tmore\t0.25\n7\t8\n") == std::vector<float>{1, 0.25f, io::no_label});
  const auto refused = [&](const char* text) { return message_of<io::Error>([&] { read(text); }); };
  const std::string file = folder / "x.tsv";
  CHECK(refused("a\tb\t1\na\t \t1\n") == file + ": line 2: the second sentence is empty");
  CHECK(refused("a\tb\t1\na\tb\t2\n").starts_with(file + ": line 2: '2' is no label"));
  CHECK(refused("a\n") == file + ": line 1: one column; expected sentence<TAB>sentence[<TAB>label]");
  CHECK(refused("").starts_with(file + ": no rows"));
}

TEST_CASE("tsv: every row survives at a million ids") {
  std::string text;
  int64_t sum = 0, count = 0;
  for (int64_t row = 0; row < 100000; row++) {
    const int length = 1 + int(row % 9);
    for (int i = 0; i < length; i++) {
      if (i) text += ' ';
      text += std::to_string(row * 7 + i);
      sum += row * 7 + i, count++;
    }
    text += fmt::format("\t{}\t{}\n", row, row % 2);
    sum += row, count++;
  }
  const io::Pairs pairs = parse(text);
  REQUIRE(pairs.size() == 100000);
  CHECK(int64_t(pairs.ids.size()) == count);
  int64_t found = 0;
  for (const int64_t id : pairs.ids) found += id;
  CHECK(found == sum);
  CHECK(pairs.b(99999)[0] == 99999);
  CHECK(pairs.labels[99999] == 1);
}
