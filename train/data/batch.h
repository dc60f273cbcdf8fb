// A packed batch: sequences [CLS] a [SEP] b [SEP] back to back, without padding.
//
// Arrays have bucket length, so that one captured graph serves many batches. Entries past the real counts are
// zero; `starts` repeats its last value.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "dataset.h"
#include "kernels/kernels.h"
#include "masking.h"

namespace warpbert {

// Sums over the batches of a step, of all processes.
struct StepTotals {
  int sequences = 0, tokens = 0, targets = 0, longest = 0;
  uint32_t passes = 0;  // most micro-batches of a shard
};

struct Batch {
  uint32_t epoch = 0, step = 0;  // the loader's position, from 0
  bool ends_step = true;         // the last micro-batch of a step
  bool ends_shard = true;        // the last of its shard
  int first_row = 0;             // tokens of the step's batches before this one, in shards
  StepTotals totals;             // of its step; the loader's only

  int sequences = 0;  // B; 0: a shard without rows
  int tokens = 0;     // N
  int targets = 0;    // M; [CLS] of labelled pairs and masked tokens; evaluation: every [CLS]
  int longest = 0;    // T of the padded batch

  std::vector<int> ids, positions;      // [token_capacity(N)]
  std::vector<int> order;               // [token_capacity(N)]: 0 … N − 1 sorted by (ids[i], i)
  std::vector<int> starts;              // [room + 1]: first token of each sequence; starts[B] = N
  std::vector<int> target_index;        // [target_capacity(M)]: ascending positions in 0 … N − 1
  std::vector<kernels::Target> target;  // [target_capacity(M)]: zeros in evaluation
  std::vector<int> rows;                // [B]: row in the data set
};

// Rounds up to a multiple of
//   16                              up to 128 tokens: the tensor-core tile
//   128                             up to 2,048
//   1/16 of the next power of two   above
int token_capacity(int tokens);
// Rounds up to a multiple of 64; up to 64 targets, of 16.
int target_capacity(int targets);

// Packs 1 to `room` examples, swapped and masked for this epoch. A labelled pair's [CLS] predicts [NO] and
// [YES] with weights 1 − label and label.
Batch training_batch(const TokenPairs& pairs, std::span<const Example> examples, const Masking& masking,
                     uint32_t epoch, int room);

// Packs unmasked examples, as (b, a) if `swap`; target_index holds each [CLS].
Batch evaluation_batch(const TokenPairs& pairs, std::span<const Example> examples, int room,
                       bool swap = false);

// Packs tokens and targets [sequences, length], 0 = padding or no target; targets at position 0 are group 1.
// Throws std::invalid_argument naming a row whose padding has a target or a later token.
Batch packed_batch(std::span<const int32_t> tokens, std::span<const int32_t> targets, int sequences,
                   int length);

}  // namespace warpbert
