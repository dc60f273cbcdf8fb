#include "session.h"

#include <stdexcept>

namespace warpbert {

std::unique_ptr<Device> open_device(const RunOptions& options) {
  if (options.device == DeviceKind::cuda && !Device::is_gpu())
    throw std::runtime_error(
        "run.device = cuda, but this program was built for the simulator; build preset cuda and run build/cuda/bin");
  if (options.device == DeviceKind::cpu && Device::is_gpu())
    throw std::runtime_error(
        "run.device = cpu, but this program was built for GPUs; build preset cpu and run build/cpu/bin");
  return std::make_unique<Device>(options.threads);
}

BertConfig bert_config(const ModelOptions& options, int vocabulary) {
  BertConfig c;
  c.vocabulary = vocabulary;
  c.layers = options.layers;
  c.hidden = options.hidden;
  c.intermediate = options.intermediate ? options.intermediate : 4 * options.hidden;
  c.heads = options.heads ? options.heads : options.hidden / 64;
  c.max_positions = options.max_positions;
  c.dropout = float(options.dropout);
  c.attention_dropout = float(options.attention_dropout);
  try {
    c.check();
  } catch (const std::invalid_argument& error) {
    throw UsageError(error.what());
  }
  return c;
}

}  // namespace warpbert
