// A batch as the device takes it: sequences [CLS] a [SEP] b [SEP] back to back, without padding between them.
//
// Arrays are as long as the batch's bucket, so that one captured graph serves many batches; what lies beyond the real
// counts is zero, and `starts` repeats its end.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "dataset.h"
#include "kernels/kernels.h"
#include "masking.h"

namespace warpbert {

struct Batch {
  uint32_t epoch = 0, step = 0;  // where the loader is, both from 0; 0 in other batches
  bool ends_step = true;         // or more parts of the same step follow

  int sequences = 0;  // B
  int tokens = 0;     // N
  int targets = 0;    // M: in training [CLS] of labelled pairs and masked tokens; in evaluation [CLS] of every pair
  int longest = 0;    // tokens of the longest sequence: T of the same batch padded

  std::vector<int> ids, positions;      // [token_capacity(N)]
  std::vector<int> order;               // [token_capacity(N)]: 0 … N − 1 sorted by (ids[i], i)
  std::vector<int> starts;              // [room for sequences + 1]: the first token of each sequence; starts[B] = N
  std::vector<int> target_index;        // [target_capacity(M)]: ascending positions in 0 … N − 1
  std::vector<kernels::Target> target;  // [target_capacity(M)]: what is to be predicted there; zeros in evaluation
  std::vector<int> rows;                // [B]: rows of the data set

  double fill() const { return double(tokens) / (double(sequences) * longest); }  // real share of the padded batch
};

// The next multiple of 128, above 2,048 of 1/16 of the next power of two. Up to 128 of 16, which is what a tensor core
// takes: a single pair has some twenty tokens.
int token_capacity(int tokens);
// The next multiple of 64, up to 64 of 16.
int target_capacity(int targets);

// The rows of `examples`, swapped and masked as `masking` says for this epoch. A labelled pair's [CLS] predicts [NO]
// (label 0), [YES] (label 1), or both with the weights 1 − label and label. 1 <= examples.size() <= room.
Batch training_batch(const TokenPairs& pairs, std::span<const Example> examples, const Masking& masking, uint32_t epoch,
                     int room);

// The rows of `examples` as they are, or all with their sentences swapped; target_index = the [CLS] of each in turn.
Batch evaluation_batch(const TokenPairs& pairs, std::span<const Example> examples, int room, bool swap = false);

// A padded batch packed: tokens and targets [sequences, length], 0 = padding and no target; targets at position 0 are
// group 1. Throws std::invalid_argument naming the row for padding before a token, or a target at padding.
Batch packed_batch(std::span<const int32_t> tokens, std::span<const int32_t> targets, int sequences, int length);

}  // namespace warpbert
