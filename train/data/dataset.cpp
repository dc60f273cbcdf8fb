#include "dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <utility>

#include "engine/fnv.h"

namespace warpbert {

int truncate(io::Pairs& pairs, int max_tokens) {
  if (max_tokens < 2)
    throw std::invalid_argument(fmt::format("max_tokens = {}: at least 2, one a sentence", max_tokens));
  const size_t limit = size_t(max_tokens);
  int truncated = 0;
  size_t out = 0;  // ids kept so far; never overtakes the read position
  for (size_t row = 0, begin = 0; row < pairs.size(); row++) {
    const size_t middle = pairs.starts[2 * row + 1], end = pairs.starts[2 * row + 2];
    size_t a = middle - begin, b = end - middle;
    truncated += a + b > limit;
    while (a + b > limit) --(a >= b ? a : b);
    const auto ids = pairs.ids.begin();
    std::copy_n(ids + begin, a, ids + out);
    std::copy_n(ids + middle, b, ids + out + a);
    pairs.starts[2 * row + 1] = out + a;
    pairs.starts[2 * row + 2] = out += a + b;
    begin = end;
  }
  pairs.ids.resize(out);
  return truncated;
}

std::vector<Example> all_examples(const io::Pairs& pairs) {
  std::vector<Example> examples;
  for (size_t row = 0; row < pairs.size(); row++) examples.push_back({int(row), pairs.labels[row]});
  return examples;
}

size_t count_labelled(const std::vector<Example>& examples) {
  return size_t(std::count_if(examples.begin(), examples.end(),
                              [](const Example& e) { return e.label != io::no_label; }));
}

static void append(io::Pairs& pairs, const io::Pairs& more) {
  const size_t offset = pairs.ids.size();
  pairs.ids.insert(pairs.ids.end(), more.ids.begin(), more.ids.end());
  for (size_t s = 1; s < more.starts.size(); s++) pairs.starts.push_back(offset + more.starts[s]);
  pairs.labels.insert(pairs.labels.end(), more.labels.begin(), more.labels.end());
}

Dataset make_dataset(io::Pairs train, const io::Pairs& test, int max_tokens, int validation_every, int fold) {
  if (validation_every < 0) throw std::invalid_argument("validation_every is negative");
  Dataset data;
  data.pairs = std::move(train);
  data.train_rows = int(data.pairs.size());
  append(data.pairs, test);
  data.truncated = truncate(data.pairs, max_tokens);

  std::vector<Example> hidden;  // trained without labels
  for (const Example& example : all_examples(data.pairs)) {
    if (example.row >= data.train_rows) {
      data.test.push_back(example);
      hidden.push_back({example.row, io::no_label});
    } else if (validation_every && example.row % validation_every == fold) {
      if (example.label != io::no_label) data.validation.push_back(example);
      hidden.push_back({example.row, io::no_label});
    } else {
      data.training.push_back(example);
    }
  }
  data.training.insert(data.training.end(), hidden.begin(), hidden.end());
  return data;
}

// Independent of the sentences' order.
static uint64_t hash_pair(const io::Pairs& pairs, size_t row) {
  const auto hash = [](std::span<const int64_t> ids) {
    Fnv<uint64_t> fnv;
    for (const int64_t id : ids) fnv.add(uint64_t(id));
    return fnv.value();
  };
  const auto [low, high] = std::minmax({hash(pairs.a(row)), hash(pairs.b(row))});
  Fnv<uint64_t> fnv;
  fnv.add(low), fnv.add(high);
  return fnv.value();
}

TrainedRows count_trained(const Dataset& data) {
  std::unordered_set<uint64_t> trained;
  for (const Example& example : data.training)
    if (example.label != io::no_label) trained.insert(hash_pair(data.pairs, size_t(example.row)));
  const auto count = [&](const std::vector<Example>& rows) {
    return size_t(std::count_if(rows.begin(), rows.end(), [&](const Example& row) {
      return trained.count(hash_pair(data.pairs, size_t(row.row)));
    }));
  };
  return {count(data.validation), count(data.test)};
}

}  // namespace warpbert
