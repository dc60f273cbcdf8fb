#include "io/tsv.h"

#include <doctest/doctest.h>

#include "io/error.h"
#include "io/wordpiece.h"
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
  CHECK(!pairs.labelled(1));
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
        "p.tsv: line 2: 'x' is no id; expected a non-negative integer; clear text needs data.text = true, in "
        "training too");
  CHECK(refusal("1\t2\n1 2\t\n") == "p.tsv: line 2: the second sentence is empty");
  CHECK(refusal("1\t2\n1 2\t\t\n") == "p.tsv: line 2: the second sentence is empty");
  CHECK(
      refusal("\xe7\x87\x88\t2\n").ends_with("integer; clear text needs data.text = true, in training too"));
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
        "p.tsv: line 2: '\\x01\\x1b[31m' is no id; expected a non-negative integer; clear text needs "
        "data.text = true, "
        "in "
        "training too");
  CHECK(refusal(std::string("1 \0 2\t2\n", 8)) ==
        "p.tsv: line 1: '\\x00' is no id; expected a non-negative integer");
}

TEST_CASE("tsv: clear text is cut, with the labels and lines of ids") {
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
