#include "device_batch.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace warpbert {

// Attention's tile size depends on the longest sequence, in steps of 16 tokens.
static int length_capacity(int longest, int max_positions) {
  return std::min((longest + 15) / 16 * 16, max_positions);
}

BatchKey batch_key(const Batch& batch, int max_positions, int tag) {
  return {int(batch.ids.size()), int(batch.target_index.size()), int(batch.starts.size()),
          length_capacity(batch.longest, max_positions), tag};
}

void DeviceBatch::upload(const Batch& batch, int max_positions, const PassRecord& record) {
  struct Scalars {
    int tokens, targets;
    float scale;
    std::array<kernels::RandomState, 2> random;
  };
  const Scalars scalars{batch.tokens, batch.targets, record.scale, record.random};
  struct Piece {
    const void* values;
    size_t bytes, offset;
  };
  std::vector<Piece> pieces;
  size_t size = 0;
  const auto place = [&](const auto* values, size_t n) {
    pieces.push_back({values, n * sizeof *values, size});
    size = (size + pieces.back().bytes + 255) / 256 * 256;
    return pieces.back().offset;
  };
  const size_t at_scalars = place(&scalars, 1), adam = place(record.adam.data(), record.adam.size()),
               ids = place(batch.ids.data(), batch.ids.size()),
               positions = place(batch.positions.data(), batch.positions.size()),
               order = place(batch.order.data(), batch.order.size()),
               starts = place(batch.starts.data(), batch.starts.size()),
               index = place(batch.target_index.data(), batch.target_index.size()),
               targets = place(batch.target.data(), batch.target.size());
  if (memory_.size() < size) memory_ = DeviceArray<char>(device_, size * 5 / 4);
  char* const host = device_.staging().next(size);
  for (const Piece& piece : pieces)
    if (piece.bytes) std::memcpy(host + piece.offset, piece.values, piece.bytes);
  device_.staging().send(memory_.data(), size);

  const auto at = [&]<class T>(size_t offset, T*) {
    return reinterpret_cast<const T*>(memory_.data() + offset);
  };
  int* const integer = nullptr;
  Scalars* s = reinterpret_cast<Scalars*>(memory_.data() + at_scalars);
  random_ = s->random.data(), adam_ = reinterpret_cast<kernels::AdamStep*>(memory_.data() + adam);
  packing_ = {{int(batch.ids.size()), &s->tokens},
              at(ids, integer),
              at(positions, integer),
              at(order, integer),
              {at(starts, integer), int(batch.starts.size()) - 1,
               length_capacity(batch.longest, max_positions), max_positions}};
  targets_ = {{int(batch.target_index.size()), &s->targets},
              at(index, integer),
              at(targets, static_cast<kernels::Target*>(nullptr)),
              &s->scale};
}

}  // namespace warpbert
