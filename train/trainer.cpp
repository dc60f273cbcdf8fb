#include "trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <optional>

#include "io/tsv.h"
#include "loader.h"
#include "metrics.h"
#include "metrics_log.h"
#include "model_file.h"
#include "progress.h"
#include "report.h"
#include "run_directory.h"
#include "scoring.h"
#include "session.h"

namespace warpbert {
namespace {

// Everything a run reads before it begins.
struct Data {
  Dataset set;
  Vocabulary vocabulary;
  TokenPairs tokens;
  DataFacts facts;

  explicit Data(const Options& o)
      : set(read(o)),
        vocabulary(set.pairs, o.data.min_count),
        tokens(vocabulary.encode(set.pairs)),
        facts(describe(set.pairs, vocabulary)) {}

  static Dataset read(const Options& o) {
    if (o.data.train.empty()) throw UsageError("data.train is not set: the labelled pairs to train on (TSV)");
    io::Pairs train = io::read_pairs(o.data.train);
    if (train.count_labelled() == 0)
      throw io::Error(fmt::format("{}: no row has a label; training needs labelled pairs", o.data.train));
    return make_dataset(std::move(train), o.data.test.empty() ? io::Pairs{} : io::read_pairs(o.data.test),
                        o.data.max_tokens, o.data.validation_every);
  }

  void print() const {
    fmt::print("data      {} pairs: {} labelled to train on, {} to validate on, {} of the test file; mean {:.1f} tokens, longest {}\n",
               facts.rows, facts.labelled - int(set.validation.size()), set.validation.size(), set.test.size(),
               facts.mean_length, facts.longest);
    fmt::print("          vocabulary {} of {} ids, {:.2f} % of tokens [UNK]; {} pairs shortened\n", vocabulary.size(),
               facts.distinct, 100 * facts.unknown_share, set.truncated);
  }
};

class Trainer {
 public:
  Trainer(const Options& options)
      : options_(options),
        data_(options),
        device_(open_device(options.run)),
        bert_(bert_config(options.model, data_.vocabulary.size())) {
    data_.print();
    bert_.store.allocate(*device_, options.train.precision);
    initialise(bert_, uint64_t(options.train.seed), float(options.model.initializer_range));
    stepper_ = std::make_unique<Stepper>(*device_, bert_, options.train.precision, uint64_t(options.train.seed),
                                         adam_options(options.train), options.loss.scale == LossScale::keras_fill);
    const BertConfig& c = bert_.config;
    fmt::print("model     {} layers, hidden {}, {} heads, intermediate {}: {:.1f} M parameters\n", c.layers, c.hidden,
               c.heads, c.intermediate, double(bert_.store.real_size()) * 1e-6);
    fmt::print("device    {}, {}\n", device_->name(), precision_name());
  }

  void dry_run();
  void run();

 private:
  static AdamOptions adam_options(const TrainOptions& t) {
    return {float(t.beta1), float(t.beta2), float(t.epsilon), float(t.weight_decay), float(t.clip_norm)};
  }
  const char* precision_name() const {
    const Precision p = options_.train.precision;
    return p == Precision::bf16 ? "bf16 with fp32 masters" : p == Precision::fp32 ? "fp32" : "tf32";
  }
  Masking masking() const { return Masking(options_.mask, data_.vocabulary.size(), uint64_t(options_.train.seed)); }
  std::vector<float> score(const std::vector<Example>& examples) {
    return score_pairs(*stepper_, data_.tokens, examples, options_.predict);
  }

  const Options& options_;
  Data data_;
  std::unique_ptr<Device> device_;
  Bert bert_;
  std::unique_ptr<Stepper> stepper_;
};


// ---- One run -----------------------------------------------------------------------------------------------------------

void Trainer::dry_run() {
  Loader loader(data_.tokens, data_.set.training, masking(), options_.train.batch, uint64_t(options_.train.seed));
  stepper_->train(loader.next(), options_.train.lr);
  const LossSums sums = stepper_->take_losses();
  fmt::print("step      loss {:.4f} (masked tokens {:.4f}, [CLS] {:.4f}); {} steps an epoch\n", sums.loss(), sums.loss_mlm(),
             sums.loss_cls(), loader.batches_per_epoch());
  stepper_->arena().reset();
  fmt::print("memory    {:.1f} MiB on the device at most; of this a step's\n{}", double(device_->bytes_high_water()) / 1048576,
             stepper_->arena().report());
}
}  // namespace
}  // namespace warpbert
