#pragma once
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "golden.h"
#include "train/data/dataset.h"

namespace warpbert::test {

using Ids = std::vector<int64_t>;

inline void add(io::Pairs& pairs, const Ids& a, const Ids& b, float label = io::no_label) {
  for (const Ids* sentence : {&a, &b}) {
    pairs.ids.insert(pairs.ids.end(), sentence->begin(), sentence->end());
    pairs.starts.push_back(pairs.ids.size());
  }
  pairs.labels.push_back(label);
}

// `rows` pairs with 1 … `longest` words a side, from `words` ids of which small ones are more frequent.
// A third has labels 0 or 1, a third soft labels, a third none.
inline io::Pairs random_pairs(int rows, int words, int longest, unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](int n) { return int(random() % unsigned(n)); };
  const auto sentence = [&] {
    Ids ids(size_t(1 + below(longest)));
    for (int64_t& id : ids) id = below(1 + below(words));
    return ids;
  };
  io::Pairs pairs;
  for (int row = 0; row < rows; row++) {
    const float labels[] = {float(below(2)), float(1 + below(9)) / 10, io::no_label};
    const Ids a = sentence(), b = sentence();
    add(pairs, a, b, labels[below(3)]);
  }
  return pairs;
}

inline std::ifstream open_golden(const std::string& name) {
  std::ifstream file(golden_folder() + "/tiny/" + name);
  if (!file) throw std::runtime_error("cannot read tests/golden/tiny/" + name);
  return file;
}

inline io::Pairs golden_pairs(const std::string& name) {
  return io::read_pairs(golden_folder() + "/tiny/" + name);
}

}  // namespace warpbert::test
