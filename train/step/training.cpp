#include "training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace warpbert {

ModelSteps make_steps(Session& session) {
  const Options& o = session.options();
  const TrainStepConfig config{.seed = uint64_t(o.train.seed),
                               .adam = adam_options(o.train),
                               .keras_fill = o.loss.scale == LossScale::keras_fill,
                               .fgm_epsilon = float(o.train.fgm),
                               .shards = local_shards(o.train),
                               .group = &ProcessGroup::world()};
  return {session.device(), session.bert(), o.train.precision, config, o.run.graphs};
}

Shards local_shards(const TrainOptions& options) {
  const ProcessGroup& group = ProcessGroup::world();
  return deal_shards(options.shards, group.rank(), group.size());
}

// Training rows of the stage, labels smoothed (Szegedy et al. 2016, §7, for two classes).
static std::vector<Example> training_examples(const Session& session) {
  const TrainOptions& o = session.options().train;
  std::vector<Example> examples = session.data().set.training;
  const auto unlabelled = [](const Example& example) { return example.label == io::no_label; };
  if (o.stage == Stage::finetune) std::erase_if(examples, unlabelled);
  const auto e = float(o.label_smoothing);
  for (Example& example : examples) {
    if (o.stage == Stage::pretrain) example.label = io::no_label;
    if (!unlabelled(example)) example.label = example.label * (1 - e) + e / 2;
  }
  return examples;
}

static Masking make_masking(const Session& session) {
  const TrainOptions& o = session.options().train;
  return Masking(session.options().mask, session.data().vocabulary.size(), uint64_t(o.seed),
                 o.stage != Stage::finetune);
}

Loader make_loader(const Session& session, int epoch, int step) {
  const TrainOptions& o = session.options().train;
  return Loader(session.data().tokens, training_examples(session), make_masking(session), o.batch,
                o.micro_batch, uint32_t(epoch - 1), uint32_t(step), local_shards(o));
}

std::vector<Example> training_sample(const Session& session) {
  std::vector<Example> labelled = training_examples(session), sample;
  std::erase_if(labelled, [](const Example& example) { return example.label == io::no_label; });
  const size_t n = std::min({labelled.size(), session.data().set.validation.size(), size_t(2000)});
  for (size_t i = 0; i < n; i++) sample.push_back(labelled[i * labelled.size() / n]);
  return sample;
}

static void keep_longest(std::vector<Example>& examples, const TokenPairs& pairs, int n) {
  const auto length = [&](const Example& e) { return pairs.a(e.row).size() + pairs.b(e.row).size(); };
  std::stable_sort(examples.begin(), examples.end(),
                   [&](const Example& a, const Example& b) { return length(a) > length(b); });
  if (examples.size() > size_t(n)) examples.resize(size_t(n));
}

Batch longest_training_batch(const Session& session) {
  const TrainOptions& o = session.options().train;
  const int room = Loader::largest_batch(o.batch, o.micro_batch, local_shards(o));
  std::vector<Example> examples = training_examples(session);
  keep_longest(examples, session.data().tokens, room);
  return training_batch(session.data().tokens, examples, make_masking(session), 0, room);
}

Batch longest_scoring_batch(const Session& session) {
  if (session.options().train.stage == Stage::pretrain) return {};
  std::vector<Example> examples = session.data().set.validation;
  for (const auto& more : {training_sample(session), session.data().set.test})
    examples.insert(examples.end(), more.begin(), more.end());
  if (examples.empty()) return {};
  const int room = session.options().predict.batch;
  keep_longest(examples, session.data().tokens, room);
  return evaluation_batch(session.data().tokens, examples, room);
}

double step_flops(const Batch& batch, const BertConfig& c) {
  const double N = batch.tokens, M = batch.targets, H = c.hidden, I = c.intermediate;
  double attention = 0;  // scores and mixing: 2 products per head forward, 5 backward
  for (int i = 0; i < batch.sequences; i++)
    attention += std::pow(batch.starts[size_t(i) + 1] - batch.starts[size_t(i)], 2);
  return 6 * (N * c.layers * (4 * H * H + 2 * H * I) + M * (H * H + H * c.vocabulary)) +
         14 * attention * H * c.layers;
}

}  // namespace warpbert
