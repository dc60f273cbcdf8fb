// Helper of wordpiece_test.py. `wordpiece_tool VOCAB cased|uncased` prints the token ids of each stdin line.
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
