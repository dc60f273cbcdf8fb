// Pairs of ids. Written again they read the same.
#include <fmt/ranges.h>

#include "pairs.h"

using namespace warpbert;
using namespace warpbert::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto pairs = read_in_all_ways(text_of(data, size), 1 + size % 7, nullptr);
  if (!pairs) return 0;
  std::string text;
  for (size_t row = 0; row < pairs->size(); row++) {
    text += fmt::format("{}\t{}", fmt::join(pairs->a(row), " "), fmt::join(pairs->b(row), " "));
    if (pairs->labels[row] != io::no_label) text += fmt::format("\t{}", pairs->labels[row]);
    text += '\n';
  }
  require(equal(*pairs, io::parse_pairs(text, "again")), "pairs that were written again read otherwise");
  return 0;
}
