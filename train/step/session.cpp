#include "session.h"

#include <fmt/format.h>

#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <utility>

#include "engine/processors.h"
#include "io/error.h"
#include "io/text.h"
#include "layer_lr.h"

namespace warpbert {

// Threads of run.threads = 0; 0: the whole machine, or SIMT_WORKERS is set.
static int default_threads() {
  const int n = available_processors();
  return std::getenv("SIMT_WORKERS") || n == int(std::thread::hardware_concurrency()) ? 0 : n;
}

void check_device(const RunOptions& options) {
  if (options.device == DeviceKind::cuda && !Device::is_gpu())
    throw std::runtime_error(
        "run.device = cuda, but this program was built for the simulator; build preset cuda and run "
        "build/cuda/bin");
  if (options.device == DeviceKind::cpu && Device::is_gpu())
    throw std::runtime_error(
        "run.device = cpu, but this program was built for GPUs; build preset cpu and run build/cpu/bin");
}

std::unique_ptr<Device> open_device(const RunOptions& options) {
  check_device(options);
  return std::make_unique<Device>(options.threads ? options.threads : default_threads());
}

BertConfig bert_config(const ModelOptions& options, int vocabulary) {
  BertConfig c;
  c.vocabulary = vocabulary;
  c.layers = options.layers;
  c.hidden = options.hidden;
  c.intermediate = options.intermediate;
  c.heads = options.heads;
  c.max_positions = options.max_positions;
  c.dropout = float(options.dropout);
  c.attention_dropout = float(options.attention_dropout);
  c.layer_norm_epsilon = float(options.layer_norm_epsilon);
  try {
    c.check();
  } catch (const std::invalid_argument& error) {
    throw UsageError(error.what());
  }
  return c;
}

AdamOptions adam_options(const TrainOptions& t) {
  return {float(t.beta1),         float(t.beta2), float(t.epsilon), float(t.weight_decay), float(t.clip_norm),
          float(t.skip_outliers), t.ema};
}

const char* precision_text(Precision precision) {
  return precision == Precision::bf16   ? "bf16 with fp32 master weights"
         : precision == Precision::fp32 ? "fp32"
                                        : "tf32";
}

Session::Session(RunSetup&& setup, RunData&& data)
    : options_(std::move(setup.options)),
      data_(std::move(data)),
      device_(open_device(options_.run)),
      bert_(bert_config(options_.model, data_.vocabulary.size())) {
  fmt::print("{}", data_.summary);
  for (const std::string& warning : data_.warnings) io::print_warning(warning);
  device_->algorithm_cache().tuning = options_.run.gemm_tuning;
  bert_.store.allocate(*device_, options_.train.precision);
  const std::unique_ptr<Pretrained> weights = std::move(setup.weights);
  const auto seed = uint64_t(options_.train.seed);
  const auto sigma = float(options_.model.initializer_range);
  const bool head = options_.model.mlm_head == MlmHead::archive;
  if (!weights) initialise(bert_, seed, sigma);
  else if (!head) initialise(bert_, seed, sigma, "cls.predictions.");
  if (weights) weights->load(bert_, data_.embedding_rows, head);
  const BertConfig& c = bert_.config;
  fmt::print("model     {} layers, hidden {}, {} heads, intermediate {}: {:.1f} M parameters, {}\n", c.layers,
             c.hidden, c.heads, c.intermediate, double(bert_.store.real_size()) * 1e-6,
             weights ? "from " + io::printable(options_.model.weights) : "random");
  if (weights && !head) fmt::print("          new masked-language head\n");
  if (weights && head && weights->head_looks_untrained())
    io::warn(
        "{}: its masked-language head looks untrained (all gains are 1, all biases 0); models published so "
        "learn this task slowly",
        options_.model.weights);
  fmt::print("device    {}, {}\n", device_->name(), precision_text(options_.train.precision));
  set_layer_lr(bert_, float(options_.train.layer_decay), float(options_.train.embedding_rate));
}

}  // namespace warpbert
