// The rows of the training and test files: truncated, joined, and divided into training, validation and test.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "io/tsv.h"

namespace warpbert {

// Shortens every row to max_tokens ids of both sentences together: while there are more, the last id of the longer
// sentence goes, of a when they are equally long. Returns the number of rows shortened.
// Throws std::invalid_argument when max_tokens < 2, since a sentence could end up empty.
int truncate(io::Pairs& pairs, int max_tokens);

// A row as training or scoring sees it: the label is a copy, so that training can be shown a row without its label.
struct Example {
  int row;
  float label;  // in [0, 1], or io::no_label
};

std::vector<Example> all_examples(const io::Pairs& pairs);  // in file order, with their labels
size_t count_labelled(const std::vector<Example>& examples);

// Rows as tokens of the model, laid out as in io::Pairs.
struct TokenPairs {
  std::vector<int32_t> tokens;       // a of row 0, b of row 0, a of row 1, …
  std::vector<size_t> starts = {0};  // [2·rows + 1]

  int size() const { return int(starts.size() / 2); }
  std::span<const int32_t> a(int row) const { return sentence(2 * size_t(row)); }
  std::span<const int32_t> b(int row) const { return sentence(2 * size_t(row) + 1); }

 private:
  std::span<const int32_t> sentence(size_t s) const { return {tokens.data() + starts[s], starts[s + 1] - starts[s]}; }
};

// What a run trains on and is measured on.
//
// Row i of the training file is a validation row iff i % validation_every = fold (0: there is none). Masked-token
// prediction needs no labels, so validation and test rows train as well, with their labels hidden.
struct Dataset {
  io::Pairs pairs;  // the training file's rows, then the test file's; truncated
  int train_rows;   // how many of them are the training file's
  int truncated;    // how many were shortened

  // Every row once: first the rows that are not for validation, with their labels if they have one; then the
  // validation rows, then the test rows, both unlabelled.
  std::vector<Example> training;
  // The validation rows with a label; a row without one at a validation row's place has nothing to be measured by.
  std::vector<Example> validation;
  std::vector<Example> test;  // the test file's rows; with their labels, should it have any
};

// Without a test file, test is empty. Throws std::invalid_argument for max_tokens < 2 and validation_every < 0.
Dataset make_dataset(io::Pairs train, const io::Pairs& test, int max_tokens, int validation_every, int fold = 0);

}  // namespace warpbert
