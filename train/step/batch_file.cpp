#include "batch_file.h"

#include <fmt/format.h>

#include "io/error.h"

namespace warpbert {

PaddedBatch read_batch(io::Archive& archive, int k, const BertConfig& config) {
  const std::string tokens_name = fmt::format("tokens_{}", k), targets_name = fmt::format("targets_{}", k);
  const auto shape = archive.at(tokens_name).shape;
  if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1 || archive.at(targets_name).shape != shape)
    io::fail("{}: {} {} and {} {}: two arrays [B, T] were expected", archive.path(), tokens_name,
             io::shape_text(shape), targets_name, io::shape_text(archive.at(targets_name).shape));
  PaddedBatch batch{int(shape[0]), int(shape[1]), archive.load<int32_t>(tokens_name), {}};
  const auto targets = archive.load<int32_t>(targets_name);
  const auto check_ids = [&](const std::string& name, const std::vector<int32_t>& ids) {
    for (const int32_t id : ids)
      if (id < 0 || id >= config.vocabulary)
        io::fail("{}: {} holds {}; the vocabulary has tokens 0 to {}", archive.path(), name, id,
                 config.vocabulary - 1);
  };
  check_ids(tokens_name, batch.tokens);
  check_ids(targets_name, targets);
  try {
    batch.packed = packed_batch(batch.tokens, targets, batch.sequences, batch.length);
  } catch (const std::invalid_argument& error) {
    io::fail("{}: {}: {}", archive.path(), tokens_name, error.what());
  }
  if (batch.packed.longest > config.max_positions)
    io::fail("{}: {} has a row of {} tokens; the model has {} positions", archive.path(), tokens_name,
             batch.packed.longest, config.max_positions);
  if (!batch.packed.targets) io::fail("{}: {} has no target", archive.path(), targets_name);
  return batch;
}

}  // namespace warpbert
