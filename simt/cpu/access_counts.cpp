#include "access_counts.h"

#include <algorithm>
#include <vector>

namespace simt {

static uint64_t distinct(std::vector<uint64_t> all) {
  std::sort(all.begin(), all.end());
  return uint64_t(std::unique(all.begin(), all.end()) - all.begin());
}

AccessCount count_sectors(const LaneAddresses& addresses, int bytes) {
  std::vector<uint64_t> sectors, pieces;
  for (const auto& a : addresses)
    if (a) sectors.push_back(*a / 32), pieces.push_back(*a);
  return {distinct(sectors), (distinct(pieces) * uint64_t(bytes) + 31) / 32};
}

AccessCount count_passes(const LaneAddresses& addresses, int bytes) {
  AccessCount count;
  const size_t together = bytes <= 4 ? 32 : size_t(128 / bytes);
  for (size_t first = 0; first < 32; first += together) {
    std::array<std::vector<uint64_t>, 32> words;  // by bank
    size_t passes = 0;
    for (size_t lane = first; lane < first + together; lane++)
      if (const auto& a = addresses[lane])
        for (uint64_t word = *a / 4, end = word + uint64_t(std::max(1, bytes / 4)); word < end; word++) {
          auto& bank = words[word % 32];
          if (std::find(bank.begin(), bank.end(), word) == bank.end()) bank.push_back(word);
          passes = std::max(passes, bank.size());
        }
    count.used += passes, count.least += passes > 0;
  }
  return count;
}

}  // namespace simt
