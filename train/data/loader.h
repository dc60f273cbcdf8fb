// Makes training batches on a background thread from consecutive pieces of shuffled(examples, masking.seed(),
// epoch), epoch after epoch; an epoch's last step has the remainder.
//
// Shard s of S takes rows n·s/S to n·(s + 1)/S of a step's n rows. Batches of other processes are made for
// the step's totals, then dropped.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "batch.h"
#include "engine/shards.h"

namespace warpbert {

// Fisher–Yates shuffle (Durstenfeld 1964) with random numbers of (seed, epoch).
std::vector<Example> shuffled(std::span<const Example> examples, uint64_t seed, uint32_t epoch);

class Loader {
 public:
  // Starts at `step` of `epoch`, both from 0; step = steps_per_epoch() means the next epoch's first.
  // Micro-batches have at most micro_batch pairs (0: one a step or shard). `pairs` must outlive the loader.
  // Throws std::invalid_argument for no examples, an invalid size or a step beyond the epoch.
  Loader(const TokenPairs& pairs, std::vector<Example> examples, Masking masking, int batch_size,
         int micro_batch = 0, uint32_t epoch = 0, uint32_t step = 0, Shards shards = {});
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Blocks for the next batch. Rethrows the thread's exception after all earlier batches, and on later calls.
  Batch next();
  // All micro-batches of this process's shards, at least one a shard.
  std::vector<Batch> next_step();

  // In pairs.
  static int largest_batch(int batch_size, int micro_batch, const Shards& shards);

  int steps_per_epoch() const { return int((examples_.size() + batch_size_ - 1) / batch_size_); }

 private:
  void produce(std::stop_token stop, uint32_t epoch, uint32_t step);
  std::vector<Batch> make_step(std::span<const Example> examples, uint32_t epoch, uint32_t step) const;
  bool push(Batch batch, const std::stop_token& stop);

  static constexpr size_t queue_length = 4;

  const TokenPairs& pairs_;
  const std::vector<Example> examples_;
  const Masking masking_;
  const Shards shards_;
  const int batch_size_, micro_batch_;

  std::mutex mutex_;
  std::condition_variable_any changed_;  // queue_ or failure_ changed
  std::deque<Batch> queue_;
  std::exception_ptr failure_;
  std::jthread thread_;  // last: it uses all members
};

}  // namespace warpbert
