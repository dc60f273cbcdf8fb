// One training step: time, pairs and tokens per second, memory, and a lower bound on the time.
//
// step_bench [--size=base] [--precision=bf16] [--batch=64] [--mean_length=15.5] [--longest=37]
//            [--vocabulary=6413] [--steps=200] [--warmup=20] [--batches=FILE.npz] [--graphs=1] [--tune]
//            [--tflops=790] [--gbps=4300] [--json]
//
// Batches follow the real workload's statistics or come from a file of bench/peers (tokens_k, targets_k).
// Lower bound: FLOPs of all GEMMs / --tflops + bytes that must move / --gbps, without overlap, at the rates
// that bench/peers/rates.py measures.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>

#include "io/error.h"
#include "io/format.h"
#include "io/npz.h"
#include "train/config/build_info.h"
#include "train/config/command_line.h"
#include "train/data/vocabulary.h"
#include "train/programs/main.h"
#include "train/step/batch_file.h"
#include "train/step/model_steps.h"
#include "train/step/training.h"

using namespace warpbert;

namespace {

struct Settings {
  std::string size = "base", precision = "bf16", batch = "64", mean_length = "15.5", longest,
              vocabulary = "6413", steps = Device::is_gpu() ? "200" : "5",
              warmup = Device::is_gpu() ? "20" : "4", batches, graphs = "1", tflops = "790", gbps = "4300";
  bool tune = false, json = false;
};

BertConfig shape(const std::string& size, int vocabulary) {
  struct Shape {
    int layers, hidden, heads;
  };
  const std::map<std::string, Shape> sizes = {{"tiny", {2, 128, 2}},   {"mini", {4, 256, 4}},
                                              {"small", {4, 512, 8}},  {"medium", {8, 512, 8}},
                                              {"base", {12, 768, 12}}, {"large", {24, 1024, 16}}};
  const auto found = sizes.find(size);
  if (found == sizes.end())
    throw UsageError(fmt::format("--size: '{}'; tiny, mini, small, medium, base or large", size));
  BertConfig c;
  c.vocabulary = vocabulary, c.layers = found->second.layers, c.hidden = found->second.hidden;
  c.heads = found->second.heads, c.intermediate = 4 * c.hidden;
  return c;
}

// Normal lengths: deviation a quarter of the mean, less near `longest`. 15 % of words masked, three of four
// pairs labelled: about 2.6 targets per pair of 15.5 tokens.
Batch random_batch(unsigned seed, int sequences, double mean, int longest, const BertConfig& c) {
  std::mt19937 random(seed);
  std::normal_distribution<double> lengths(0, 1);
  const double spread = std::min(mean / 4, (longest - mean) / 2);
  std::vector<int32_t> tokens(size_t(sequences) * size_t(longest)), targets(tokens.size());
  for (int row = 0; row < sequences; row++) {
    const int n = std::clamp(int(std::lround(mean + spread * lengths(random))), 5, longest);
    for (int i = 0; i < n; i++) {
      const size_t at = size_t(row) * size_t(longest) + size_t(i);
      tokens[at] = i == 0 ? token::cls
                   : i == n - 1 || i == n / 2
                       ? token::sep
                       : token::first_word + int(random() % unsigned(c.vocabulary - token::first_word));
      if (tokens[at] >= token::first_word && random() % 100 < 15)
        targets[at] = tokens[at], tokens[at] = token::mask;
    }
    if (row % 4) targets[size_t(row) * size_t(longest)] = token::no + int(random() % 2);
  }
  return packed_batch(tokens, targets, sequences, longest);
}

// Warm-up: one batch of each bucket, as its first use allocates memory; with graphs once more, as the second
// captures; then the batches in turn. Warns if `steps` are too few.
std::vector<size_t> warmup_order(const std::vector<Batch>& batches, size_t steps, int max_positions,
                                 bool graphs) {
  std::map<BatchKey, size_t> buckets;
  for (size_t i = 0; i < batches.size(); i++) buckets.try_emplace(batch_key(batches[i], max_positions), i);
  std::vector<size_t> order;
  for (int use = 0; use < (graphs && Device::is_gpu() ? 2 : 1); use++)
    for (const auto& [key, batch] : buckets) order.push_back(batch);
  if (steps < order.size())
    io::warn(
        "--warmup {}: the timed steps allocate memory or capture graphs; --warmup {} reaches every bucket",
        steps, order.size());
  for (size_t i = 0; order.size() < steps; i++) order.push_back(i % batches.size());
  order.resize(steps);
  return order;
}

// Prints progress every ten seconds.
class Pace {
 public:
  void show(const char* what, int done, int all) {
    if (io::seconds_since(shown_) < 10) return;
    fmt::print(stderr, "{} {} of {}\n", what, done, all);
    shown_ = std::chrono::steady_clock::now();
  }

 private:
  std::chrono::steady_clock::time_point shown_ = std::chrono::steady_clock::now();
};

// Bytes no implementation can avoid. Adam reads master weight, both moments and gradient, and writes the
// first three: 28 per parameter. Forward and backward read the weights, backward writes the gradient: 12.
// With bf16 weights and gradients, and Adam writing the weight: 28 + 6; our fp32 gradients add 4. Activations
// may stay in the cache.
double bytes(double parameters, bool bf16) { return parameters * (bf16 ? 28 + 6 : 28 + 12); }

int bench(int argc, char** argv) {
  Settings s;
  CommandLine line("step_bench", "Times whole training steps and prints their lower bound.");
  line.optional("--size", "NAME", "tiny, mini, small, medium, base, large", s.size);
  line.optional("--precision", "NAME", "bf16, fp32, tf32", s.precision);
  line.optional("--batch", "N", "pairs a step", s.batch);
  line.optional("--mean_length", "N", "tokens of a pair, special ones included", s.mean_length);
  line.optional("--longest", "N", "tokens of the longest pair (default: 2.2 times the mean, and 3)",
                s.longest);
  line.optional("--vocabulary", "N", "tokens", s.vocabulary);
  line.optional("--steps", "N", "steps that are timed", s.steps);
  line.optional("--warmup", "N", "steps before them, first of each bucket", s.warmup);
  line.optional("--batches", "FILE", "an .npz of batches, in place of random ones", s.batches);
  line.optional("--graphs", "0|1", "whether steps are graphs", s.graphs);
  line.optional("--tflops", "N", "what large matrix products reach", s.tflops);
  line.optional("--gbps", "N", "what large copies reach", s.gbps);
  line.toggle("--tune", "algorithms of the matrix products are timed first, as with run.gemm_tuning", s.tune);
  line.toggle("--json", "one JSON line instead of text", s.json);
  if (!line.parse(argc, argv)) return 0;

  if (s.precision != "fp32" && s.precision != "tf32" && s.precision != "bf16")
    throw UsageError(fmt::format("--precision: '{}'; bf16, tf32 or fp32", s.precision));
  const Precision precision = s.precision == "fp32"   ? Precision::fp32
                              : s.precision == "tf32" ? Precision::tf32
                                                      : Precision::bf16;
  const auto whole = [](const char* flag, const std::string& text, int low) {
    return int(parse_integer(flag, text, low, 10'000'000));
  };
  const BertConfig config = shape(s.size, whole("--vocabulary", s.vocabulary, token::first_word + 1));
  const int steps = whole("--steps", s.steps, 1), warmup = whole("--warmup", s.warmup, 0),
            pairs_a_step = whole("--batch", s.batch, 1);
  const bool graphs = parse_integer("--graphs", s.graphs, 0, 1);
  const double flops_per_second = parse_number("--tflops", s.tflops) * 1e12,
               bytes_per_second = parse_number("--gbps", s.gbps) * 1e9;
  if (flops_per_second == 0 || bytes_per_second == 0)
    throw UsageError("--tflops, --gbps: a rate of 0 has no lower bound");
  std::vector<Batch> batches;
  if (s.batches.empty()) {
    const double mean = parse_number("--mean_length", s.mean_length);
    const double longest = s.longest.empty()
                               ? std::min(std::floor(mean * 2.2) + 3, double(config.max_positions))
                               : whole("--longest", s.longest, 1);
    if (mean < 5 || mean > longest || longest > config.max_positions)
      throw UsageError(fmt::format("--mean_length={} --longest={}: 5 <= mean <= longest <= {}", s.mean_length,
                                   longest, config.max_positions));
    for (unsigned seed = 0; seed < 16; seed++)
      batches.push_back(random_batch(seed, pairs_a_step, mean, int(longest), config));
  } else {
    const auto file = io::open_npz(s.batches);
    for (int k = 0; file->find(fmt::format("tokens_{}", k)); k++)
      batches.push_back(read_batch(*file, k, config).packed);
    if (batches.empty()) io::fail("{}: no batches; tokens_0 is missing", s.batches);
  }

  Device device;
  device.algorithm_cache().tuning = s.tune;
  Bert bert(config);
  bert.store.allocate(device, precision);
  initialise(bert, 0);
  ModelSteps model_steps(device, bert, precision, {}, graphs);
  TrainStep& train_step = model_steps.train;
  const auto step = [&](size_t i) { train_step.take(batches[i % batches.size()], 1e-5); };
  Pace pace;
  const auto order = warmup_order(batches, size_t(warmup), config.max_positions, graphs);
  for (size_t i = 0; i < order.size(); i++) {
    step(order[i]);
    if (!Device::is_gpu()) pace.show("warm-up step", int(i) + 1, warmup);
  }
  device.synchronize();

  using clock = std::chrono::steady_clock;
  std::vector<double> times;
  double pairs = 0, tokens = 0, flops = 0, moved = 0;
  const auto begin = clock::now();
  for (int i = 0; i < steps; i++) {
    const auto start = clock::now();
    step(size_t(i));
    device.synchronize();
    times.push_back(io::seconds_since(start));
    pace.show("step", i + 1, steps);
    const Batch& batch = batches[size_t(i) % batches.size()];
    pairs += batch.sequences, tokens += batch.tokens;
    flops += step_flops(batch, config);
    moved += bytes(double(bert.store.real_size()), precision == Precision::bf16);
  }
  double streamed = io::seconds_since(begin);
  if (Device::is_gpu()) {  // again without synchronizing after each step, as in training
    const auto begin_stream = clock::now();
    for (int i = 0; i < steps; i++) step(size_t(i));
    device.synchronize();
    streamed = io::seconds_since(begin_stream);
  }

  std::sort(times.begin(), times.end());
  const auto percentile = [&](double p) {
    return times[std::min(times.size() - 1, size_t(p * double(times.size())))] * 1e3;
  };
  const double bound = (flops / flops_per_second + moved / bytes_per_second) / steps * 1e3;
  const double ms = streamed / steps * 1e3, memory = io::mib(device.bytes_high_water());
  const LossSums sums = train_step.take_losses();
  if (!train_step.all_finite())  // Adam skipped steps: the time means nothing
    throw std::runtime_error("step_bench: the loss or its gradient is not finite");
  if (s.json) {
    const nlohmann::ordered_json json = {{"device", device.name()},
                                         {"library", Gemm::library()},
                                         {"build", build_info()},
                                         {"size", s.size},
                                         {"precision", s.precision},
                                         {"tuned", s.tune},
                                         {"batch", batches[0].sequences},
                                         {"tokens", tokens / steps},
                                         {"steps", steps},
                                         {"updates", train_step.state().updates},  // warm-up included
                                         {"ms", ms},
                                         {"median_ms", percentile(0.5)},
                                         {"p10_ms", percentile(0.1)},
                                         {"p90_ms", percentile(0.9)},
                                         {"pairs_per_s", pairs / streamed},
                                         {"memory_mib", memory},
                                         {"bound_ms", bound},
                                         {"gflop", flops / steps * 1e-9},
                                         {"mb", moved / steps * 1e-6},
                                         {"loss", sums.loss()}};
    fmt::print("{}\n", json.dump());
    return 0;
  }
  fmt::print("{}; BERT-{}, {}, {} pairs, {:.0f} tokens, {:.1f} M parameters{}\n", device.name(), s.size,
             s.precision, batches[0].sequences, tokens / steps, double(bert.store.real_size()) * 1e-6,
             Device::is_gpu() ? "" : "; times are the simulator's");
  fmt::print("a step    {:.3f} ms ({:.3f} median, synchronized after each, {:.3f} to {:.3f})\n", ms,
             percentile(0.5), percentile(0.1), percentile(0.9));
  fmt::print("speed     {:.0f} pairs/s, {:.0f} tokens/s\n", pairs / streamed, tokens / streamed);
  fmt::print("memory    {:.0f} MiB\n", memory);
  fmt::print(
      "bound     {:.3f} ms at least: {:.1f} GFLOP at {} TFLOP/s and {:.0f} MB at {} GB/s; a step takes "
      "{:.2f} times that\n",
      bound, flops / steps * 1e-9, s.tflops, moved / steps * 1e-6, s.gbps, ms / bound);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_main(argc, argv, bench); }
