// Rows of the training and test files.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "io/tsv.h"

namespace warpbert {

// Truncates rows to max_tokens ids of both sentences, dropping the last id of the longer one, of `a` if
// equal. Returns the number of rows truncated. Throws std::invalid_argument for max_tokens < 2: sentences
// could be empty.
int truncate(io::Pairs& pairs, int max_tokens);

// The label is a copy, so that training can hide it.
struct Example {
  int row;
  float label;  // in [0, 1], or io::no_label
};

// False for io::no_label.
inline bool is_match(const Example& row) { return row.label >= 0.5f; }

std::vector<Example> all_examples(const io::Pairs& pairs);  // in file order
size_t count_labelled(const std::vector<Example>& examples);

// Rows as model tokens; layout of io::Pairs.
struct TokenPairs {
  std::vector<int32_t> tokens;       // a of row 0, b of row 0, a of row 1, …
  std::vector<size_t> starts = {0};  // [2·rows + 1]

  int size() const { return int(starts.size() / 2); }
  std::span<const int32_t> a(int row) const { return sentence(2 * size_t(row)); }
  std::span<const int32_t> b(int row) const { return sentence(2 * size_t(row) + 1); }

 private:
  std::span<const int32_t> sentence(size_t s) const {
    return {tokens.data() + starts[s], starts[s + 1] - starts[s]};
  }
};

// Row i of the training file is a validation row iff i % validation_every = fold (0: none). Masked-token
// prediction needs no labels, so training includes validation and test rows, labels hidden.
struct Dataset {
  io::Pairs pairs;  // training file, then test file
  int train_rows;   // of the training file
  int truncated;    // number of rows

  // Every row once: non-validation rows with labels, then the others without.
  std::vector<Example> training;
  std::vector<Example> validation;  // labelled rows only
  std::vector<Example> test;        // with labels, if the file has any
};

// Number of rows that are also trained with their label, in either order of the sentences. A measure over
// them is too good.
struct TrainedRows {
  size_t validation, test;
};
TrainedRows count_trained(const Dataset& data);

// Throws std::invalid_argument for max_tokens < 2 or validation_every < 0.
Dataset make_dataset(io::Pairs train, const io::Pairs& test, int max_tokens, int validation_every,
                     int fold = 0);

}  // namespace warpbert
