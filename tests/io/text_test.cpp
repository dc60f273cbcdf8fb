#include "io/text.h"

#include <doctest/doctest.h>

#include <vector>

#include "io/error.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

TEST_CASE("text: nearest finds slips and stays silent otherwise") {
  const std::vector<std::string> keys = {"train.lr", "train.batch", "train.epochs", "model.heads"};
  CHECK(io::nearest("train.lrr", keys) == "train.lr");
  CHECK(io::nearest("trian.lr", keys) == "train.lr");
  CHECK(io::nearest("TRAIN.Batch", keys) == "train.batch");
  CHECK(io::nearest("train.epoch", keys) == "train.epochs");
  CHECK(io::nearest("model.heds", keys) == "model.heads");
  CHECK(io::nearest("something.else", keys).empty());
  CHECK(io::nearest("", keys).empty());
  CHECK(io::nearest("x", std::vector<std::string>{"a"}).empty());
  CHECK(io::nearest("x", {}).empty());
}

TEST_CASE("text: control characters are printed escaped") {
  CHECK(io::printable("a\x1b[31mb\x7f\n\t") == "a\\x1b[31mb\\x7f\\x0a\\x09");
  CHECK(io::printable("one\ntwo\r", "\n") == "one\ntwo\\x0d");
}

TEST_CASE("text: quote shortens and escapes, and cuts no character in two") {
  CHECK(io::quote("abc") == "'abc'");
  CHECK(io::quote("a\x1b[0m\n") == "'a\\x1b[0m\\x0a'");
  CHECK(io::quote(std::string(41, 'x')) == "'" + std::string(40, 'x') + "…'");
  CHECK(io::quote(std::string(39, 'x') + "é") == "'" + std::string(39, 'x') + "…'");
  const std::string binary(1000, '\x80');  // continuation bytes alone
  CHECK(io::quote(binary) == "'" + binary.substr(0, 37) + "…'");
}

TEST_CASE("text: strip, and files from their beginning") {
  CHECK(io::strip(" \ta b\r\n") == "a b");
  CHECK(io::strip(" \t\n").empty());
  const TemporaryFolder folder;
  const std::string long_text(3'000'000, 'x'), path = folder.write("a", long_text);
  CHECK(io::read_file(path) == long_text);
  CHECK(io::read_file(path, 5) == "xxxxx");
  CHECK(io::read_file(folder.write("empty", "")).empty());
}
