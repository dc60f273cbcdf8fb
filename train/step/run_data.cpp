#include "run_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "engine/fnv.h"
#include "io/error.h"
#include "io/text.h"
#include "io/tsv.h"
#include "io/vocab.h"
#include "io/wordpiece.h"
#include "session.h"
#include "train/data/alignment.h"

namespace warpbert {

static std::unique_ptr<Pretrained> open_weights(const std::string& path) {
  return path.empty() ? nullptr : std::make_unique<Pretrained>(path);
}

RunSetup::RunSetup(const Options& typed, int saved_shards)
    : weights(open_weights(typed.model.weights)), options(resolve_run(typed, weights.get(), saved_shards)) {
  for (const std::string& warning : options.warnings) io::print_warning(warning);
  // Checked before data are read and a run directory is made.
  check_device(options.run);
  bert_config(options.model, token::first_word + 1);
}

std::string hash_text(uint64_t hash) { return fmt::format("{:016x}", hash); }

namespace {

// ---- Vocabulary -------------------------------------------------------------------------------------------

// Token i has row i of the embedding: after a lost line all rows are wrong.
std::optional<std::string> check_rows(const RunSetup& setup, size_t tokens) {
  const auto rows = size_t(setup.weights->shape().vocabulary);
  const auto real = setup.options.real_rows ? size_t(setup.options.real_rows) : rows;
  const std::string what = fmt::format("{}: {} tokens, but the word embedding of {} has {} rows{}",
                                       setup.options.data.vocab, tokens, setup.weights->path(), rows,
                                       real < rows ? fmt::format(", {} without padding", real) : "");
  if (tokens > rows) throw io::Error(what);
  if (tokens == real) return {};
  return what + "; if a line is missing, every token after it has its neighbour's row";
}

// Throws UsageError if a run's weights were trained with another vocabulary.
Vocabulary read_text_vocabulary(const RunSetup& setup, std::vector<std::string>& warnings) {
  const DataOptions& data = setup.options.data;
  const Pretrained* weights = setup.weights.get();
  io::VocabFile file = io::read_vocab_file(data.vocab);
  if (auto conflict = io::case_conflict(data.vocab, file, data.lowercase,
                                        fmt::format("data.lowercase = {}", data.lowercase)))
    warnings.push_back(std::move(*conflict));
  Vocabulary vocabulary(TextVocabulary{std::move(file.tokens), data.lowercase}, data.vocab);
  if (weights && weights->vocabulary() && *weights->vocabulary() != vocabulary)
    throw UsageError(fmt::format("data.vocab, data.lowercase: {} in {} case is not what {} was trained with",
                                 data.vocab, data.lowercase ? "lower" : "given", weights->path()));
  if (weights && !weights->vocabulary())
    if (auto warning = check_rows(setup, vocabulary.text()->tokens.size()))
      warnings.push_back(std::move(*warning));
  return vocabulary;
}

// ---- Rows -------------------------------------------------------------------------------------------------

Dataset read_dataset(const ResolvedOptions& options, const Vocabulary* text) {
  const DataOptions& data = options.data;
  std::optional<io::WordPiece> tokenizer;
  if (text) tokenizer.emplace(text->text()->tokens, data.vocab, data.lowercase);
  const auto read = [&](const std::string& path) {
    return io::read_pairs(path, tokenizer ? &*tokenizer : nullptr);
  };
  io::Pairs train = read(data.train);
  if (train.count_labelled() == 0 && options.train.stage != Stage::pretrain)
    io::fail("{}: no row has a label; training needs labelled pairs, except with train.stage = pretrain",
             data.train);
  Dataset set = make_dataset(std::move(train), data.test.empty() ? io::Pairs{} : read(data.test),
                             data.max_tokens, data.validation_every, data.fold);
  if (!count_labelled(set.training) && options.train.stage != Stage::pretrain)
    io::fail(
        "{}: all rows that have a label are for validation; another data.validation_every or data.fold "
        "chooses other rows",
        data.train);
  return set;
}

// "50.0 %" of the labels.
std::string matches(const std::vector<Example>& rows) {
  const auto matches = std::count_if(rows.begin(), rows.end(), is_match);
  return fmt::format("{:.1f} %", 100 * double(matches) / double(count_labelled(rows)));
}

std::string summary_of(const Dataset& set, const Vocabulary& vocabulary, const DatasetStatistics& s) {
  std::string text = fmt::format(
      "data      {} pairs: {} labelled to train on, {} to validate on, {} of the test file; mean {:.1f} "
      "tokens, longest {}\n",
      s.rows, count_labelled(set.training), set.validation.size(), set.test.size(), s.mean_length, s.longest);
  if (count_labelled(set.training))
    text += fmt::format(
        "          {} of the labels to train on are matches{}\n", matches(set.training),
        set.validation.empty() ? "" : ", " + matches(set.validation) + " of those to validate on");
  if (const auto [validation, test] = count_trained(set); validation + test)
    text += fmt::format(
        "          {} pairs to validate on and {} of the test file are also labelled pairs to train on\n",
        validation, test);
  if (vocabulary.text())
    return text +
           fmt::format("          {} of {} words occur, {:.2f} % of tokens are [UNK]; {} pairs truncated\n",
                       s.distinct - s.dropped, vocabulary.dataset_ids().size(), 100 * s.unknown_share,
                       set.truncated);
  return text +
         fmt::format(
             "          {} of {} ids make the vocabulary, {:.2f} % of tokens are [UNK]; {} pairs truncated\n",
             s.distinct - s.dropped, s.distinct, 100 * s.unknown_share, set.truncated);
}

void warn_of_rows(const ResolvedOptions& options, const Dataset& set, const DatasetStatistics& statistics,
                  std::vector<std::string>& warnings) {
  const DataOptions& data = options.data;
  const auto warn = [&]<class... T>(fmt::format_string<T...> format, T&&... values) {
    warnings.push_back(fmt::format(format, std::forward<T>(values)...));
  };
  if (const size_t labels = count_labelled(set.test))
    warn("{}: {} rows have a label, which is not used; eval measures by them", data.test, labels);
  if (statistics.unknown_share > 0.5)
    warn("{}: {:.0f} % of tokens are [UNK]; are these pairs what the vocabulary is for?", data.train,
         100 * statistics.unknown_share);
  if (options.train.stage == Stage::pretrain || !options.train.epochs) return;
  std::set<float> labels;
  for (const Example& row : set.training)
    if (row.label != io::no_label) labels.insert(row.label);
  if (labels.size() == 1)
    warn(
        "{}: all {} training labels are {}: there is nothing to tell apart; look at the labels, or choose "
        "other rows by data.validation_every or data.fold",
        data.train, count_labelled(set.training), *labels.begin());
  if (!data.validation_every) return;
  std::set<bool> classes;
  for (const Example& row : set.validation) classes.insert(is_match(row));
  if (classes.size() == 2) return;
  const std::string which = classes.empty()
                                ? "no validation row has a label"
                                : fmt::format("all {} validation rows are {}", set.validation.size(),
                                              *classes.begin() ? "matches" : "no matches");
  warn(
      "{}: {}, so that there is no AUC, and the last epoch's model is kept; another data.validation_every or "
      "data.fold chooses other rows",
      data.train, which);
}

// ---- Alignment --------------------------------------------------------------------------------------------

std::vector<int> align(const RunSetup& setup, RunData& run) {
  const DataOptions& data = setup.options.data;
  const auto vocab = io::read_vocab(data.vocab);
  if (auto warning = check_rows(setup, vocab.size())) run.warnings.push_back(std::move(*warning));
  const int words = run.vocabulary.size() - token::first_word;
  const TokenCounts counts = read_counts(data.counts);
  auto aligned = aligned_rows(vocab, counts, words, data.vocab);
  const size_t counted = counted_tokens(vocab, counts);
  if (!counted)
    io::fail("{}: counts no token of {}; it belongs to another vocabulary, and nothing can be aligned by it",
             data.counts, data.vocab);
  if (counted < size_t(words))
    run.warnings.push_back(fmt::format(
        "{}: counts only {} of the {} tokens that the data's ids are aligned to; the others are taken in the "
        "order of {}",
        data.counts, counted, words, data.vocab));
  run.summary += fmt::format(
      "aligned   {} ids to the {} most frequent of {} tokens; {} ids below min_count {} are [UNK]\n", words,
      words, vocab.size(), run.statistics.dropped, data.min_count);
  return aligned;
}

uint64_t hash_data(const Dataset& set, const TokenPairs& tokens) {
  Fnv<uint64_t> hash;
  for (const int32_t token : tokens.tokens) hash.add(uint64_t(token));
  for (const size_t start : tokens.starts) hash.add(start);
  for (const auto* examples : {&set.training, &set.validation})
    for (const Example& e : *examples)
      hash.add(uint64_t(e.row)), hash.add(uint64_t(std::llround(e.label * 1e6)));
  return hash.value();
}

// aligned: {} unless ids are aligned by frequency.
uint64_t hash_start(uint64_t data_hash, const Vocabulary& vocabulary, const std::vector<int>& aligned) {
  Fnv<uint64_t> hash;
  hash.add(data_hash);
  for (const int64_t id : vocabulary.dataset_ids()) hash.add(uint64_t(id));
  if (const auto& text = vocabulary.text()) {
    hash.add(text->lowercase);
    for (const std::string& word : text->tokens) hash.add(word + '\n');
  }
  for (const int row : aligned) hash.add(uint64_t(row));
  return hash.value();
}

}  // namespace

RunData read_run_data(const RunSetup& setup) {
  const ResolvedOptions& options = setup.options;
  const DataOptions& data = options.data;
  Pretrained* const weights = setup.weights.get();
  std::vector<std::string> warnings;
  std::optional<Vocabulary> vocabulary;
  if (data.text) vocabulary = read_text_vocabulary(setup, warnings);
  const uint64_t weights_hash = weights ? weights->hash() : 0;
  Dataset set = read_dataset(options, vocabulary ? &*vocabulary : nullptr);
  if (weights && weights->vocabulary()) vocabulary = weights->vocabulary();
  else if (!data.text) vocabulary.emplace(set.pairs, data.min_count);
  TokenPairs tokens = vocabulary->encode(set.pairs);
  DatasetStatistics statistics = describe(set.pairs, *vocabulary);
  warn_of_rows(options, set, statistics, warnings);
  std::string summary = summary_of(set, *vocabulary, statistics);
  const uint64_t data_hash = hash_data(set, tokens);
  RunData run{.set = std::move(set),
              .vocabulary = std::move(*vocabulary),
              .tokens = std::move(tokens),
              .statistics = std::move(statistics),
              .embedding_rows = {},
              .data_hash = data_hash,
              .start_hash = 0,
              .weights_hash = weights_hash,
              .summary = std::move(summary),
              .warnings = std::move(warnings)};
  std::vector<int> aligned;
  if (weights && weights->vocabulary()) {
    run.summary += fmt::format("vocabulary kept from {}\n", io::printable(weights->path()));
  } else if (weights && data.text) {
    run.summary += fmt::format("vocabulary {} words of {} keep their rows\n",
                               run.vocabulary.dataset_ids().size(), io::printable(data.vocab));
    run.embedding_rows = text_rows(run.vocabulary);
  } else if (weights) {
    run.embedding_rows = aligned = align(setup, run);
  }
  run.start_hash = hash_start(data_hash, run.vocabulary, aligned);
  return run;
}

}  // namespace warpbert
