#include "inspection.h"

#include <fmt/format.h>

#include <algorithm>

#include "batch_file.h"
#include "io/npz.h"
#include "io/text.h"
#include "session.h"
#include "train/weights/host_arrays.h"
#include "train_step.h"

namespace warpbert {

namespace {

// First `rows` rows of x as fp32.
std::vector<float> download(Device& device, const Tensor& x, int rows) {
  const size_t n = size_t(rows) * size_t(x.cols());
  std::vector<float> values(n);
  if (x.dtype() == DType::f32) {
    device.download(values.data(), x.data<float>(), n * sizeof(float));
    return values;
  }
  std::vector<bf16> rounded(n);
  device.download(rounded.data(), x.data<bf16>(), n * sizeof(bf16));
  for (size_t i = 0; i < n; i++) values[i] = to_float(rounded[i]);
  return values;
}

class Inspection {
 public:
  explicit Inspection(Session& session)
      : precision_(session.options().train.precision), device_(session.device()), bert_(session.bert()) {}

  void look(const PaddedBatch& batch);
  void take_steps(io::Archive& batches, int steps, const Options& options);
  void write(const std::string& path) const { io::write_npz(path, arrays_.views); }

 private:
  void add_hidden(const PaddedBatch& batch, const std::vector<float>& packed);
  void add_logits(const Batch& batch, const std::vector<float>& padded, int padded_vocabulary);

  Precision precision_;
  Device& device_;
  Bert& bert_;
  HostArrays arrays_;
};

// Runs the ops of pair_matching_loss one by one, to expose intermediate results.
void Inspection::look(const PaddedBatch& padded) {
  const Batch& batch = padded.packed;
  const BertConfig& c = bert_.config;
  DeviceBatch on_device(device_);
  PassRecord record;
  record.scale = batch.targets ? 1.0f / float(batch.targets) : 0;
  on_device.upload(batch, c.max_positions, record);
  const Targets& targets = on_device.targets();
  Gemm gemm(device_, precision_);
  Arena arena(device_, true);
  arena.reset();
  bert_.store.start_step();
  Tape tape(device_, gemm, arena, precision_ == Precision::bf16 ? DType::bf16 : DType::f32);
  Tensor hidden = encode(tape, bert_, on_device.packing());
  Tensor logits = masked_language_model(tape, bert_, gather(tape, hidden, targets.index, targets.rows));
  const auto hidden_values = download(device_, hidden, batch.tokens);
  const auto logit_values = download(device_, logits, batch.targets);  // before the loss overwrites them
  const float* loss =
      cross_entropy(tape, logits, *bert_.output_bias, targets.targets, targets.scale, c.vocabulary);
  std::vector<float> losses(size_t(batch.targets));
  device_.download(losses.data(), loss, losses.size() * sizeof(float));
  tape.backward();
  bert_.store.finish_backward();

  double sum = 0;
  for (const float l : losses) sum += l;
  arrays_.add("loss", {1}, {float(sum / batch.targets)});
  add_logits(batch, logit_values, logits.cols());
  add_hidden(padded, hidden_values);
  arrays_.add(bert_.store, bert_.store.grads(), "grad/");
  fmt::print("batch 0   {} sequences, {} tokens, {} targets; loss {:.6f}\n", batch.sequences, batch.tokens,
             batch.targets, sum / batch.targets);
}

void Inspection::add_logits(const Batch& batch, const std::vector<float>& padded, int padded_vocabulary) {
  const int V = bert_.config.vocabulary;
  std::vector<float> bias(static_cast<size_t>(V)), logits;
  device_.download(bias.data(), bert_.output_bias->vector(), bias.size() * sizeof(float));
  for (int m = 0; m < batch.targets; m++)
    for (int t = 0; t < V; t++)
      logits.push_back(padded[size_t(m) * size_t(padded_vocabulary) + size_t(t)] + bias[size_t(t)]);
  arrays_.add("logits", {batch.targets, V}, std::move(logits));
}

void Inspection::add_hidden(const PaddedBatch& batch, const std::vector<float>& packed) {
  const size_t H = size_t(bert_.config.hidden);
  std::vector<float> hidden(batch.tokens.size() * H);
  size_t row = 0;
  for (size_t i = 0; i < batch.tokens.size(); i++)
    if (batch.tokens[i]) std::copy_n(&packed[row++ * H], H, &hidden[i * H]);
  arrays_.add("hidden", {batch.sequences, batch.length, int64_t(H)}, std::move(hidden));
}

void Inspection::take_steps(io::Archive& batches, int steps, const Options& options) {
  StepResources resources(device_, bert_, precision_);
  TrainStep step(resources, {.adam = adam_options(options.train),
                             .keras_fill = options.loss.scale == LossScale::keras_fill});
  std::vector<float> losses;
  for (int k = 0; k < steps; k++) {
    step.take(read_batch(batches, k, bert_.config).packed, options.train.lr);
    losses.push_back(float(step.take_losses().loss()));
  }
  arrays_.add("losses", {steps}, std::move(losses));
  arrays_.add(bert_.store, bert_.store.master_weights(), "param/");
}

}  // namespace

void inspect(Options options, const std::string& batch_path, const std::string& output_path, int steps) {
  options.model.dropout = options.model.attention_dropout = 0;
  const auto batches = io::open_npz(batch_path);
  Session session{RunSetup(options)};
  Inspection inspection(session);
  inspection.look(read_batch(*batches, 0, session.bert().config));
  if (steps) inspection.take_steps(*batches, steps, session.options());
  inspection.write(output_path);
  fmt::print("written   {}\n", io::printable(output_path));
}

}  // namespace warpbert
