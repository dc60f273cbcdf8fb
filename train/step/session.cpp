#include "session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>

#include "engine/fnv.h"
#include "engine/processors.h"
#include "io/error.h"
#include "io/text.h"
#include "io/tsv.h"
#include "io/vocab.h"
#include "io/wordpiece.h"
#include "layer_lr.h"
#include "train/data/alignment.h"

namespace warpbert {

// Threads of run.threads = 0. Returns 0 if that is all of the machine, or if SIMT_WORKERS is set.
static int default_threads() {
  const int n = available_processors();
  return std::getenv("SIMT_WORKERS") || n == int(std::thread::hardware_concurrency()) ? 0 : n;
}

static void check_device(const RunOptions& options) {
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

static std::vector<int> every_row(int n) {
  std::vector<int> rows(static_cast<size_t>(n));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// Token i of a vocabulary has row i of the embedding: if a line is lost, all later tokens have wrong rows.
void Session::check_rows(size_t tokens) const {
  const auto rows = size_t(pretrained_->shape().vocabulary);
  const auto real = options_.real_rows ? size_t(options_.real_rows) : rows;
  const std::string what =
      fmt::format("{}: {} tokens, but the word embedding of {} has {} rows{}", options_.data.vocab, tokens,
                  pretrained_->path(), rows, real < rows ? fmt::format(", {} without padding", real) : "");
  if (tokens > rows) throw io::Error(what);
  if (tokens != real)
    io::warn("{}; if a line is missing, every token after it has its neighbour's row", what);
}

static std::unique_ptr<Pretrained> open_weights(const std::string& path) {
  return path.empty() ? nullptr : std::make_unique<Pretrained>(path);
}

Session::Session(const Options& typed, int saved_shards)
    : pretrained_(open_weights(typed.model.weights)),
      options_(resolve_run(typed, pretrained_.get(), saved_shards)),
      aligned_(pretrained_ && !pretrained_->vocabulary() && !options_.data.text) {
  for (const std::string& warning : options_.warnings) io::print_warning(warning);
  // What needs no data is checked before it is read, and before a run directory is made.
  check_device(options_.run);
  bert_config(options_.model, token::first_word + 1);
  read_text_vocabulary();
}

// Reads the vocabulary of data.text. Throws UsageError if a run's weights were trained with another.
void Session::read_text_vocabulary() {
  const DataOptions& data = options_.data;
  const bool of_run = pretrained_ && pretrained_->vocabulary();
  if (!data.text) return;
  io::VocabFile file = io::read_vocab_file(data.vocab);
  if (const auto conflict = io::case_conflict(data.vocab, file, data.lowercase,
                                              fmt::format("data.lowercase = {}", data.lowercase)))
    io::warn("{}", *conflict);
  vocabulary_.emplace(TextVocabulary{std::move(file.tokens), data.lowercase}, data.vocab);
  if (of_run && *pretrained_->vocabulary() != *vocabulary_)
    throw UsageError(fmt::format("data.vocab, data.lowercase: {} in {} case is not what {} was trained with",
                                 data.vocab, data.lowercase ? "lower" : "given", pretrained_->path()));
  if (pretrained_ && !of_run) check_rows(vocabulary_->text()->tokens.size());
}

void Session::load() {
  read_data();
  print_data();
  const std::vector<int> rows = first_rows();
  device_ = open_device(options_.run);
  device_->algorithm_cache().tuning = options_.run.gemm_tuning;
  bert_ = std::make_unique<Bert>(bert_config(options_.model, vocabulary_->size()));
  Bert& bert = *bert_;
  bert.store.allocate(*device_, options_.train.precision);
  const auto seed = uint64_t(options_.train.seed);
  const auto sigma = float(options_.model.initializer_range);
  const bool head = options_.model.mlm_head == MlmHead::archive;
  if (!pretrained_) initialise(bert, seed, sigma);
  else if (!head) initialise(bert, seed, sigma, "cls.predictions.");
  if (pretrained_) pretrained_->load(bert, rows, head);
  const BertConfig& c = bert.config;
  fmt::print("model     {} layers, hidden {}, {} heads, intermediate {}: {:.1f} M parameters, {}\n", c.layers,
             c.hidden, c.heads, c.intermediate, double(bert.store.real_size()) * 1e-6,
             pretrained_ ? "from " + io::printable(options_.model.weights) : "random");
  if (pretrained_ && !head) fmt::print("          new masked-language head\n");
  if (pretrained_ && head && pretrained_->head_looks_untrained())
    io::warn(
        "{}: its masked-language head looks untrained (all gains are 1, all biases 0); "
        "models published "
        "so learn this task slowly",
        options_.model.weights);
  fmt::print("device    {}, {}\n", device_->name(), precision_text(options_.train.precision));
  pretrained_.reset();  // closes the file
  set_layer_lr(bert, float(options_.train.layer_decay), float(options_.train.embedding_rate));
}

void Session::read_data() {
  const DataOptions& data = options_.data;
  if (pretrained_) weights_hash_ = pretrained_->hash();
  std::optional<io::WordPiece> tokenizer;
  if (data.text) tokenizer.emplace(vocabulary_->text()->tokens, data.vocab, data.lowercase);
  const auto read = [&](const std::string& path) {
    return io::read_pairs(path, tokenizer ? &*tokenizer : nullptr);
  };
  io::Pairs train = read(data.train);
  if (train.count_labelled() == 0 && options_.train.stage != Stage::pretrain)
    io::fail("{}: no row has a label; training needs labelled pairs, except with train.stage = pretrain",
             data.train);
  set_ = make_dataset(std::move(train), data.test.empty() ? io::Pairs{} : read(data.test), data.max_tokens,
                      data.validation_every, data.fold);
  if (!count_labelled(set_.training) && options_.train.stage != Stage::pretrain)
    io::fail(
        "{}: all rows that have a label are for validation; another data.validation_every or data.fold "
        "chooses "
        "other rows",
        data.train);
  if (pretrained_ && pretrained_->vocabulary()) vocabulary_ = pretrained_->vocabulary();
  else if (!data.text) vocabulary_.emplace(set_.pairs, data.min_count);
  tokens_ = vocabulary_->encode(set_.pairs);
  statistics_ = describe(set_.pairs, *vocabulary_);
}

void Session::print_data() const {
  const DataOptions& data = options_.data;
  fmt::print(
      "data      {} pairs: {} labelled to train on, {} to validate on, {} of the test file; mean {:.1f} "
      "tokens, "
      "longest {}\n",
      statistics_.rows, count_labelled(set_.training), set_.validation.size(), set_.test.size(),
      statistics_.mean_length, statistics_.longest);
  print_classes();
  if (const auto [validation, test] = count_trained(set_); validation + test)
    fmt::print(
        "          {} pairs to validate on and {} of the test file are also labelled pairs to train on\n",
        validation, test);
  warn_of_rows();
  if (data.text) {
    fmt::print("          {} of {} words occur, {:.2f} % of tokens are [UNK]; {} pairs truncated\n",
               statistics_.distinct - statistics_.dropped, vocabulary_->dataset_ids().size(),
               100 * statistics_.unknown_share, set_.truncated);
    return;
  }
  fmt::print("          {} of {} ids make the vocabulary, {:.2f} % of tokens are [UNK]; {} pairs truncated\n",
             statistics_.distinct - statistics_.dropped, statistics_.distinct,
             100 * statistics_.unknown_share, set_.truncated);
}

static bool is_match(const Example& row) { return row.label >= 0.5f; }  // false without a label

// Prints the share of matches among the labels.
void Session::print_classes() const {
  const auto share = [](const std::vector<Example>& rows) {
    const auto matches = std::count_if(rows.begin(), rows.end(), is_match);
    return fmt::format("{:.1f} %", 100 * double(matches) / double(count_labelled(rows)));
  };
  if (!count_labelled(set_.training)) return;
  fmt::print("          {} of the labels to train on are matches{}\n", share(set_.training),
             set_.validation.empty() ? "" : ", " + share(set_.validation) + " of those to validate on");
}

// Warns about valid settings that may leave the run without a useful model.
void Session::warn_of_rows() const {
  const DataOptions& data = options_.data;
  if (const size_t labels = count_labelled(set_.test))
    io::warn("{}: {} rows have a label, which is not used; eval measures by them", data.test, labels);
  if (statistics_.unknown_share > 0.5)
    io::warn("{}: {:.0f} % of tokens are [UNK]; are these pairs what the vocabulary is for?", data.train,
             100 * statistics_.unknown_share);
  if (options_.train.stage == Stage::pretrain || !options_.train.epochs) return;
  std::set<float> labels;
  for (const Example& row : set_.training)
    if (row.label != io::no_label) labels.insert(row.label);
  if (labels.size() == 1)
    io::warn(
        "{}: all {} training labels are {}: there is nothing to tell apart; look at the labels, or choose "
        "other rows by data.validation_every or data.fold",
        data.train, count_labelled(set_.training), *labels.begin());
  if (!data.validation_every) return;
  std::set<bool> classes;
  for (const Example& row : set_.validation) classes.insert(is_match(row));
  if (classes.size() == 2) return;
  const std::string which = classes.empty()
                                ? "no validation row has a label"
                                : fmt::format("all {} validation rows are {}", set_.validation.size(),
                                              *classes.begin() ? "matches" : "no matches");
  io::warn(
      "{}: {}, so that there is no AUC, and the last epoch's model is kept; another "
      "data.validation_every or data.fold chooses other rows",
      data.train, which);
}

std::string hash_text(uint64_t hash) { return fmt::format("{:016x}", hash); }

uint64_t Session::data_hash() const {
  Fnv<uint64_t> hash;
  for (const int32_t token : tokens_.tokens) hash.add(uint64_t(token));
  for (const size_t start : tokens_.starts) hash.add(start);
  for (const auto* examples : {&set_.training, &set_.validation})
    for (const Example& e : *examples)
      hash.add(uint64_t(e.row)), hash.add(uint64_t(std::llround(e.label * 1e6)));
  return hash.value();
}

uint64_t Session::start_hash() const {
  Fnv<uint64_t> hash;
  hash.add(data_hash());
  for (const int64_t id : vocabulary_->dataset_ids()) hash.add(uint64_t(id));
  if (const auto& text = vocabulary_->text()) {
    hash.add(text->lowercase);
    for (const std::string& word : text->tokens)
      for (const char c : word + '\n') hash.add(uint8_t(c));
  }
  if (aligned_)
    for (const int row :
         !embedding_rows_.empty()
             ? embedding_rows_
             : aligned_rows(io::read_vocab(options_.data.vocab), read_counts(options_.data.counts),
                            vocabulary_->size() - token::first_word, options_.data.vocab))
      hash.add(uint64_t(row));
  return hash.value();
}

// Pretrained embedding row of each token; {} without pretrained weights.
std::vector<int> Session::first_rows() {
  if (!pretrained_) return {};
  const DataOptions& data = options_.data;
  if (pretrained_->vocabulary()) {
    fmt::print("vocabulary kept from {}\n", io::printable(pretrained_->path()));
    return every_row(vocabulary_->size());
  }
  if (data.text) {
    fmt::print("vocabulary {} words of {} keep their rows\n", vocabulary_->dataset_ids().size(),
               io::printable(data.vocab));
    return text_rows(*vocabulary_);
  }
  const auto vocab = io::read_vocab(data.vocab);
  check_rows(vocab.size());
  const int words = vocabulary_->size() - token::first_word;
  const TokenCounts counts = read_counts(data.counts);
  auto aligned = aligned_rows(vocab, counts, words, data.vocab);
  const size_t counted = counted_tokens(vocab, counts);
  if (!counted)
    io::fail("{}: counts no token of {}; it belongs to another vocabulary, and nothing can be aligned by it",
             data.counts, data.vocab);
  if (counted < size_t(words))
    io::warn(
        "{}: counts only {} of the {} tokens that the data's ids are aligned to; the others "
        "are taken "
        "in the order of {}",
        data.counts, counted, words, data.vocab);
  fmt::print("aligned   {} ids to the {} most frequent of {} tokens; {} ids below min_count {} are [UNK]\n",
             words, words, vocab.size(), statistics_.dropped, data.min_count);
  return embedding_rows_ = std::move(aligned);
}

}  // namespace warpbert
