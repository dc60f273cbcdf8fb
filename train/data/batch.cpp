#include "batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

#include "vocabulary.h"

namespace warpbert {

static int round_up(int n, int step) { return (std::max(n, 1) + step - 1) / step * step; }

int token_capacity(int tokens) {
  return round_up(tokens, tokens <= 128 ? 16 : std::max(128, int(std::bit_ceil(unsigned(tokens)) / 16)));
}
int target_capacity(int targets) { return round_up(targets, targets <= 64 ? 16 : 64); }

namespace {

kernels::Target masked_token(int token) { return {token, token, 0, 0}; }

kernels::Target pair_label(float label) {
  if (label == 0) return {token::no, token::no, 0, 1};
  if (label == 1) return {token::yes, token::yes, 0, 1};
  return {token::no, token::yes, label, 1};
}

class Packer {
 public:
  Packer(size_t sequences, int room) : room_(room) {
    if (sequences < 1 || room < 0 || sequences > size_t(room))
      throw std::invalid_argument(fmt::format("batch: {} sequences, room for {}", sequences, room));
  }

  void begin_sequence(int row) {
    batch_.rows.push_back(row);
    batch_.starts.push_back(int(batch_.ids.size()));
  }
  void add(int token) {
    batch_.positions.push_back(int(batch_.ids.size()) - batch_.starts.back());
    batch_.ids.push_back(token);
  }
  void add_words(std::span<const int32_t> tokens, std::span<const int32_t> targets) {
    for (size_t i = 0; i < tokens.size(); i++) {
      add(tokens[i]);
      if (targets[i]) predict(masked_token(targets[i]));
    }
  }
  void predict() { batch_.target_index.push_back(int(batch_.ids.size()) - 1); }  // at the last token added
  void predict(kernels::Target target) {
    predict();
    batch_.target.push_back(target);
  }

  Batch finish() {
    Batch& b = batch_;
    b.sequences = int(b.rows.size());
    b.tokens = int(b.ids.size());
    b.targets = int(b.target_index.size());
    b.starts.resize(size_t(room_) + 1, b.tokens);
    for (int i = 0; i < b.sequences; i++) b.longest = std::max(b.longest, b.starts[i + 1] - b.starts[i]);
    sort_by_id();
    for (auto* array : {&b.ids, &b.positions, &b.order}) array->resize(size_t(token_capacity(b.tokens)));
    b.target_index.resize(size_t(target_capacity(b.targets)));
    b.target.resize(b.target_index.size());
    return std::move(b);
  }

 private:
  void sort_by_id() {
    std::vector<uint64_t> keys;
    keys.reserve(batch_.ids.size());
    for (size_t i = 0; i < batch_.ids.size(); i++) keys.push_back(uint64_t(batch_.ids[i]) << 32 | i);
    std::sort(keys.begin(), keys.end());
    for (uint64_t key : keys) batch_.order.push_back(int(uint32_t(key)));
  }

  Batch batch_;
  int room_;
};

void check_row(const TokenPairs& pairs, int row) {
  if (row < 0 || row >= pairs.size())
    throw std::out_of_range(fmt::format("batch: row {} of {}", row, pairs.size()));
}

}  // namespace

Batch training_batch(const TokenPairs& pairs, std::span<const Example> examples, const Masking& masking,
                     uint32_t epoch, int room) {
  Packer packer(examples.size(), room);
  std::vector<int32_t> words, targets;
  for (const auto [row, label] : examples) {
    check_row(pairs, row);
    const size_t a = pairs.a(row).size();
    words.assign(pairs.a(row).begin(), pairs.a(row).end());
    words.insert(words.end(), pairs.b(row).begin(), pairs.b(row).end());
    targets.assign(words.size(), 0);
    masking.mask(words, targets, a, epoch, uint32_t(row));

    const auto add_sentence = [&](size_t from, size_t to) {
      packer.add_words({&words[from], to - from}, {&targets[from], to - from});
      packer.add(token::sep);
    };
    packer.begin_sequence(row);
    packer.add(token::cls);
    if (label != io::no_label) packer.predict(pair_label(label));
    const bool swap = masking.swaps(epoch, uint32_t(row));
    if (swap) add_sentence(a, words.size());
    add_sentence(0, a);
    if (!swap) add_sentence(a, words.size());
  }
  return packer.finish();
}

Batch evaluation_batch(const TokenPairs& pairs, std::span<const Example> examples, int room, bool swap) {
  Packer packer(examples.size(), room);
  for (const Example& example : examples) {
    check_row(pairs, example.row);
    const auto a = pairs.a(example.row), b = pairs.b(example.row);
    packer.begin_sequence(example.row);
    packer.add(token::cls);
    packer.predict();
    for (int token : swap ? b : a) packer.add(token);
    packer.add(token::sep);
    for (int token : swap ? a : b) packer.add(token);
    packer.add(token::sep);
  }
  return packer.finish();
}

Batch packed_batch(std::span<const int32_t> tokens, std::span<const int32_t> targets, int sequences,
                   int length) {
  if (sequences < 1 || length < 1 || tokens.size() != size_t(sequences) * size_t(length) ||
      targets.size() != tokens.size())
    throw std::invalid_argument(fmt::format("batch: tokens and targets are not [{}, {}]", sequences, length));
  Packer packer(size_t(sequences), sequences);
  for (int row = 0; row < sequences; row++) {
    const auto line = tokens.subspan(size_t(row) * size_t(length), size_t(length));
    const auto line_targets = targets.subspan(size_t(row) * size_t(length), size_t(length));
    const auto refuse = [&](const char* what) {
      throw std::invalid_argument(fmt::format("batch: row {} has {}", row, what));
    };
    const size_t end = size_t(std::find(line.begin(), line.end(), token::pad) - line.begin());
    if (end == 0) refuse("no token at its start");
    packer.begin_sequence(row);
    for (size_t i = 0; i < line.size(); i++) {
      if (line[i] < 0 || line_targets[i] < 0) refuse("a negative token or target");
      if (i >= end && line[i]) refuse("padding before a token");
      if (i >= end && line_targets[i]) refuse("a target at padding");
      if (i >= end) continue;
      packer.add(line[i]);
      if (line_targets[i]) packer.predict({line_targets[i], line_targets[i], 0, i == 0});
    }
  }
  return packer.finish();
}

}  // namespace warpbert
