#include "io/ini.h"

#include <doctest/doctest.h>

#include "io/error.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

static std::vector<io::IniEntry> read(const std::string& text) {
  const TemporaryFolder folder;
  return io::read_ini(folder.write("a.ini", text));
}
// Returns the error message after "<path>: ".
static std::string refusal(const std::string& text) {
  const std::string message = message_of<io::Error>([&] { read(text); });
  const size_t file = message.find("/a.ini: ");
  return file == message.npos ? "no file name: " + message : message.substr(file + 8);
}

TEST_CASE("ini: sections, entries, comments and line numbers") {
  const auto entries = read(
      "; top\n[a]\nx = 1 \n\n# note\ny=two words ; aside\n[b]\r\nx : 3\r\n   ; indented note\nempty "
      "=\n[a]\nz = a=b#c");
  REQUIRE(entries.size() == 5);
  const auto is = [&](size_t i, const char* section, const char* key, const char* value, int line) {
    CAPTURE(i);
    CHECK(entries[i].section == section);
    CHECK(entries[i].key == key);
    CHECK(entries[i].value == value);
    CHECK(entries[i].line == line);
  };
  is(0, "a", "x", "1", 3);
  is(1, "a", "y", "two words", 6);
  is(2, "b", "x", "3", 8);
  is(3, "b", "empty", "", 10);
  is(4, "a", "z", "a=b#c", 12);
}

TEST_CASE("ini: a byte order mark, no section, and an empty file") {
  const auto entries = read("\xef\xbb\xbfx = 1\n");
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].section.empty());
  CHECK(entries[0].key == "x");
  CHECK(read("").empty());
  CHECK(read("\n\n; nothing\n").empty());
}

TEST_CASE("ini: refused, with file and line") {
  CHECK(refusal("[a]\nx = 1\ny = 2\n[b]\nx = 1\n[a]\nx = 3\n") ==
        "line 7 repeats 'x' of [a] (first on line 2); keep one");
  CHECK(refusal("[a]\nx = 1\n  y = 2\n") == "line 3 is indented; begin it at the left margin");
  CHECK(refusal("[a]\n\ty = 2\n") == "line 2 is indented; begin it at the left margin");
  CHECK(refusal("[a]\nx = 1\nnonsense\n") == "line 3: neither [section] nor key = value");
  CHECK(refusal("[a\nx = 1\n") == "line 1: neither [section] nor key = value");
  CHECK(refusal("[a]\n= 1\n") == "line 2 has no key before its value");
  CHECK(refusal("[a] x = 1\n") == "line 1 has text after [section]; put it on a line of its own");
  CHECK(refusal(std::string("[a]\nx = 1\0 2\n", 13)) == "line 2 holds a zero byte; is this an INI file?");
  CHECK(message_of<io::Error>([] { io::read_ini("/none/a.ini"); }) ==
        "/none/a.ini: cannot be opened: No such file or directory");
}

TEST_CASE("ini: lines may be of any length") {
  for (const size_t bytes : {199, 200, 4096, 1'000'000}) {
    CAPTURE(bytes);
    const auto entries = read("[" + std::string(300, 's') + "]\n# " + std::string(5000, 'c') + "\n" +
                              std::string(300, 'k') + " = " + std::string(bytes, 'v') + " ; note\ny = 1\n");
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].section == std::string(300, 's'));
    CHECK(entries[0].key == std::string(300, 'k'));
    CHECK(entries[0].value == std::string(bytes, 'v'));
    CHECK(entries[1].line == 4);
  }
}

TEST_CASE("ini: a semicolon starts a comment only after white space") {
  CHECK(read("x = a;b\n")[0].value == "a;b");
  CHECK(read("x =;b\n")[0].value == ";b");
  CHECK(read("x = ;b\n")[0].value.empty());
  CHECK(read("x = a\t;b ;c\n")[0].value == "a");
  CHECK(read("[a] ; note\nx = 1")[0].section == "a");
  CHECK(refusal("x ; = 1\n") == "line 1: neither [section] nor key = value");
  CHECK(refusal("[a ;]\n") == "line 1: neither [section] nor key = value");
}
