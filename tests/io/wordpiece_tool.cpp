// wordpiece_tool VOCAB cased|uncased: for each line of standard input, its token ids. For wordpiece_test.py.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sstream>
#include <string_view>

#include "io/text.h"
#include "io/wordpiece.h"

int main(int, char** argv) {
  using namespace warpbert;
  io::WordPiece tokenizer(io::read_vocab(argv[1]), argv[1], argv[2] == std::string_view("uncased"));
  std::istringstream text(io::read_file("-"));
  for (std::string line; std::getline(text, line);) {
    std::vector<int> ids;
    tokenizer.encode(line, ids);
    fmt::print("{}\n", fmt::join(ids, " "));
  }
}
