#include "loader.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "engine/random.h"
#include "engine/ranges.h"

namespace warpbert {

std::vector<Example> shuffled(std::span<const Example> examples, uint64_t seed, uint32_t epoch) {
  std::vector<Example> order(examples.begin(), examples.end());
  for (size_t i = order.size(); i > 1; i--) {
    const uint32_t random = random4(seed, epoch, site::shuffling, i).v[0];
    std::swap(order[i - 1], order[multiply_high(random, uint32_t(i))]);
  }
  return order;
}

int Loader::largest_batch(int batch_size, int micro_batch, const Shards& shards) {
  const int shard = (batch_size + shards.count - 1) / shards.count;
  return micro_batch ? std::min(micro_batch, shard) : shard;
}

Loader::Loader(const TokenPairs& pairs, std::vector<Example> examples, Masking masking, int batch_size,
               int micro_batch, uint32_t epoch, uint32_t step, Shards shards)
    : pairs_(pairs),
      examples_(std::move(examples)),
      masking_(masking),
      shards_(shards),
      batch_size_(batch_size),
      micro_batch_(largest_batch(batch_size, micro_batch, shards)) {
  if (examples_.empty()) throw std::invalid_argument("loader: there are no rows to train on");
  if (batch_size < 1 || micro_batch < 0) throw std::invalid_argument("loader: the batch size is below 1");
  if (step > uint32_t(steps_per_epoch())) throw std::invalid_argument("loader: the epoch has fewer steps");
  thread_ = std::jthread([=, this](std::stop_token stop) { produce(stop, epoch, step); });
}

Loader::~Loader() = default;  // jthread requests a stop and joins

void Loader::produce(std::stop_token stop, uint32_t epoch, uint32_t step) {
  name_thread("loader");
  try {
    for (;; epoch++, step = 0) {
      const std::vector<Example> order = shuffled(examples_, masking_.seed(), epoch);
      const size_t size = size_t(batch_size_);
      for (size_t first = step * size; first < order.size(); first += size, step++) {
        const auto examples = std::span(order).subspan(first, std::min(size, order.size() - first));
        for (Batch& batch : make_step(examples, epoch, step))
          if (!push(std::move(batch), stop)) return;
      }
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

std::vector<Batch> Loader::make_step(std::span<const Example> examples, uint32_t epoch, uint32_t step) const {
  const size_t n = examples.size(), count = size_t(shards_.count), most = size_t(micro_batch_);
  const Range range("batch", Category::data, step);
  std::vector<Batch> batches;
  StepTotals totals;
  for (int shard = 0; shard < shards_.count; shard++) {
    const size_t first = n * size_t(shard) / count, end = n * (size_t(shard) + 1) / count;
    const bool ours = shard >= shards_.first && shard < shards_.last;
    uint32_t passes = 0;
    for (size_t begin = first; begin < end; begin += most, passes++) {
      const auto rows = examples.subspan(begin, std::min(most, end - begin));
      Batch batch = training_batch(pairs_, rows, masking_, epoch, micro_batch_);
      batch.first_row = count > 1 ? totals.tokens : 0;
      batch.ends_shard = begin + most >= end;
      totals.sequences += batch.sequences, totals.tokens += batch.tokens, totals.targets += batch.targets;
      totals.longest = std::max(totals.longest, batch.longest);
      if (ours) batches.push_back(std::move(batch));
    }
    if (ours && first == end) batches.emplace_back();
    totals.passes = std::max(totals.passes, passes);
  }
  for (Batch& batch : batches) {
    batch.epoch = epoch, batch.step = step, batch.totals = totals;
    batch.ends_step = &batch == &batches.back();
  }
  return batches;
}

bool Loader::push(Batch batch, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait(lock, stop, [&] { return queue_.size() < queue_length; })) return false;
  queue_.push_back(std::move(batch));
  changed_.notify_all();
  return true;
}

std::vector<Batch> Loader::next_step() {
  std::vector<Batch> micro_batches;
  do micro_batches.push_back(next());
  while (!micro_batches.back().ends_step);
  return micro_batches;
}

Batch Loader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !queue_.empty() || failure_; });
  if (queue_.empty()) std::rethrow_exception(failure_);
  Batch batch = std::move(queue_.front());
  queue_.pop_front();
  changed_.notify_all();
  return batch;
}

}  // namespace warpbert
