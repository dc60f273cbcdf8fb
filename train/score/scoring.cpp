#include "scoring.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <deque>
#include <exception>
#include <filesystem>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "engine/process_group.h"
#include "io/atomic_file.h"
#include "io/error.h"
#include "io/file_kind.h"
#include "io/text.h"
#include "io/text_file.h"
#include "io/wordpiece.h"
#include "metrics.h"

namespace warpbert {

static std::vector<double> own_log_probabilities(ScoreStep& step, const TokenPairs& pairs,
                                                 std::span<const Example> examples,
                                                 const PredictOptions& options) {
  // Chunk k is batch k / orders in order k % orders. The host makes the next batch while the device scores.
  const size_t orders = options.swap ? 2 : 1, size = size_t(options.batch);
  const size_t chunks = (examples.size() + size - 1) / size * orders;
  const auto batch = [&](size_t chunk) {
    const size_t first = chunk / orders * size;
    return evaluation_batch(pairs, examples.subspan(first, std::min(size, examples.size() - first)),
                            options.batch, chunk % orders == 1);
  };
  std::vector<double> means;
  means.reserve(2 * examples.size());
  Batch next = chunks ? batch(0) : Batch{};
  for (size_t chunk = 0; chunk < chunks; chunk++) {
    step.start(next);
    if (chunk + 1 < chunks) next = batch(chunk + 1);
    const std::vector<float> log_p = step.finish();
    const size_t first = chunk / orders * size * 2;
    if (chunk % orders == 0) means.insert(means.end(), log_p.begin(), log_p.end());
    else
      for (size_t i = 0; i < log_p.size(); i++) means[first + i] = (means[first + i] + double(log_p[i])) / 2;
  }
  return means;
}

std::vector<float> scores(std::span<const double> log_p, Score score) {
  std::vector<float> scores(log_p.size() / 2);
  for (size_t i = 0; i < scores.size(); i++) {
    const double no = log_p[2 * i], yes = log_p[2 * i + 1];
    scores[i] = score == Score::ratio ? ratio_score(no, yes) : sigmoid_score(no, yes);
  }
  return scores;
}

static std::string as_bytes(const std::vector<double>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double)};
}

std::vector<double> log_probabilities(ScoreStep& step, const TokenPairs& pairs,
                                      std::span<const Example> examples, const PredictOptions& options) {
  ProcessGroup& group = ProcessGroup::world();
  if (group.size() == 1) return own_log_probabilities(step, pairs, examples, options);
  const size_t size = size_t(options.batch), batches = (examples.size() + size - 1) / size,
               processes = size_t(group.size()), rank = size_t(group.rank());
  const auto row = [&](size_t share) {
    return std::min(batches * share / processes * size, examples.size());
  };
  const auto ours = examples.subspan(row(rank), row(rank + 1) - row(rank));
  std::vector<double> all;
  for (const std::string& bytes : group.gather(as_bytes(own_log_probabilities(step, pairs, ours, options)))) {
    const size_t n = all.size();
    all.resize(n + bytes.size() / sizeof(double));
    if (!bytes.empty()) std::memcpy(all.data() + n, bytes.data(), bytes.size());
  }
  return all;
}

// ---- Several models ---------------------------------------------------------------------------------------

Ensemble::Ensemble(const std::vector<std::string>& runs, const std::vector<Override>& overrides) {
  for (const std::string& run : runs) sources_.push_back(find_model(run, overrides));
  for (const ModelSource& source : sources_)
    if (source.options.predict.score != sources_[0].options.predict.score)
      throw UsageError(fmt::format("{} and {} differ in predict.score; set --predict.score", sources_[0].path,
                                   source.path));
  for (const ModelSource& source : sources_) {
    const bool text = source.options.data.text;
    if (text != sources_[0].options.data.text)
      throw UsageError(fmt::format("{} reads {}, but {} reads {}; score with them one at a time",
                                   sources_[0].path, text ? "ids" : "plain text", source.path,
                                   text ? "plain text" : "ids"));
    Tokenizer tokenizer{text ? read_text_vocabulary(source) : TextVocabulary{}, source.path};
    const auto known = std::find_if(vocabularies_.begin(), vocabularies_.end(),
                                    [&](const Tokenizer& other) { return other.text == tokenizer.text; });
    input_of_.push_back(size_t(known - vocabularies_.begin()));
    if (text && known == vocabularies_.end()) vocabularies_.push_back(std::move(tokenizer));
  }
}

std::vector<io::WordPiece> Ensemble::tokenizers() const {
  std::vector<io::WordPiece> all;
  for (const Tokenizer& v : vocabularies_) all.emplace_back(v.text.tokens, v.path, v.text.lowercase);
  return all;
}

static std::vector<io::WordPiece*> pointers(std::vector<io::WordPiece>& tokenizers) {
  std::vector<io::WordPiece*> all;
  for (io::WordPiece& tokenizer : tokenizers) all.push_back(&tokenizer);
  return all;
}

io::PairLines Ensemble::read(const std::string& path, bool skip_bad) const {
  std::vector<io::WordPiece> all = tokenizers();
  return io::read_pairs(path, pointers(all), skip_bad);
}

namespace {

class Scorer {
 public:
  // batch: pairs a batch; 0: predict.batch.
  explicit Scorer(const ModelSource& source, int batch = 0)
      : source_(source),
        model_(source),
        predict_(batch ? with_batch(model_.options.predict, batch) : model_.options.predict),
        resources_(*model_.device, model_.bert, model_.options.train.precision, model_.options.run.graphs),
        step_(resources_) {
    const int longest = model_.options.data.max_tokens, positions = model_.bert.config.max_positions;
    if (longest + 3 > positions)
      throw UsageError(fmt::format(
          "data.max_tokens = {}: such pairs and three special tokens need {} positions; {} has {}", longest,
          longest + 3, source.path, positions));
  }

  // first_row: index (from 0) in the input, for messages.
  void add_log_probabilities(std::vector<double>& sums, io::Pairs pairs, size_t first_row = 0) {
    const TokenPairs tokens = encode(pairs);
    unknown_ += std::count(tokens.tokens.begin(), tokens.tokens.end(), token::unknown);
    tokens_ += long(tokens.tokens.size());
    const auto log_p = log_probabilities(step_, tokens, all_examples(pairs), predict_);
    for (size_t i = 0; i < log_p.size(); i++) {
      if (std::isnan(log_p[i]))
        throw std::runtime_error(fmt::format("{}: the score of row {} is not a number; the model is damaged",
                                             source_.weights, first_row + i / 2 + 1));
      sums[i] += log_p[i];
    }
  }

  void warn() const {
    if (model_.options.train.stage == Stage::pretrain)
      io::warn("{}: pretrained alone (train.stage = pretrain); it has not learned to score pairs",
               source_.path);
    if (2 * unknown_ > tokens_)
      io::warn("{}: {:.0f} % of the pairs' tokens are unknown to it; was it trained on such data?",
               source_.path, 100.0 * double(unknown_) / double(tokens_));
  }

  // Scores the pair until its bucket is warm; returns false if it was.
  bool warm_up(io::Pairs pair) {
    const TokenPairs tokens = encode(pair);
    const Batch batch = evaluation_batch(tokens, all_examples(pair), predict_.batch);
    if (step_.is_warm(batch)) return false;
    while (!step_.is_warm(batch)) step_.log_probabilities(batch);
    return true;
  }

 private:
  static PredictOptions with_batch(PredictOptions options, int batch) {
    options.batch = batch;
    return options;
  }
  TokenPairs encode(io::Pairs& pairs) const {
    truncate(pairs, model_.options.data.max_tokens);
    return model_.vocabulary.encode(pairs);
  }

  const ModelSource& source_;
  TrainedModel model_;
  const PredictOptions predict_;
  StepResources resources_;
  ScoreStep step_;
  long unknown_ = 0, tokens_ = 0;  // scored so far
};

}  // namespace

std::vector<float> Ensemble::score(const std::vector<io::Pairs>& input, size_t first, size_t count) const {
  std::vector<double> sums(2 * input.at(0).size(), 0);
  for (size_t m = first; m < first + count; m++) {
    Scorer scorer(sources_[m]);  // one model at a time
    scorer.add_log_probabilities(sums, input.at(input_of_[m]));
    scorer.warn();
  }
  return scores_of(std::move(sums), count);
}

std::vector<float> Ensemble::scores_of(std::vector<double> log_p_sums, size_t models) const {
  for (double& sum : log_p_sums) sum /= double(models);
  return scores(log_p_sums, sources_.at(0).options.predict.score);
}

std::vector<std::string> Ensemble::files() const {
  std::vector<std::string> all;
  for (const ModelSource& source : sources_) all.insert(all.end(), source.files.begin(), source.files.end());
  return all;
}

size_t Ensemble::truncated(const std::vector<io::Pairs>& input) const {
  size_t n = 0;
  for (size_t row = 0; row < input.at(0).size(); row++) {
    bool longer = false;
    for (size_t m = 0; m < sources_.size(); m++) {
      const io::Pairs& pairs = input.at(input_of_[m]);
      longer |= pairs.a(row).size() + pairs.b(row).size() > size_t(sources_[m].options.data.max_tokens);
    }
    n += longer;
  }
  return n;
}

// ---- As a filter ------------------------------------------------------------------------------------------

void Ensemble::filter(bool skip_bad) const {
  constexpr int together_ms = 1;  // lines this close share a batch
  std::vector<io::WordPiece> all = tokenizers();
  std::deque<Scorer> scorers;
  size_t batch = 1, rows = 0, too_long = 0;
  for (const ModelSource& source : sources_) {
    scorers.emplace_back(source);
    batch = std::max(batch, size_t(source.options.predict.batch));
  }
  io::TextFile file("-");
  io::PairReader reader(file.name(), pointers(all), skip_bad);
  io::AtomicFile output("-");
  std::exception_ptr error;
  for (bool open = true; open || reader.size();) {
    try {
      while (open && reader.size() < batch && (!reader.size() || file.ready(together_ms))) {
        const std::string bytes = file.read();
        open = !bytes.empty();
        open ? reader.add(bytes) : reader.finish();
      }
    } catch (...) {  // rethrown after the lines before are scored
      error = std::current_exception(), open = false;
    }
    const io::PairLines lines = reader.take(batch);
    std::vector<double> sums(2 * lines.pairs[0].size(), 0);
    for (size_t m = 0; m < scorers.size(); m++)
      scorers[m].add_log_probabilities(sums, lines.pairs.at(input_of_[m]), rows);
    rows += lines.pairs[0].size();
    too_long += truncated(lines.pairs);
    output.write(scores_text(scores_of(std::move(sums), size()), lines.gaps));
  }
  output.commit();
  if (error) std::rethrow_exception(error);
  for (const Scorer& scorer : scorers) scorer.warn();
  warn_of_truncated(too_long);
}

// ---- Latency ----------------------------------------------------------------------------------------------

static io::Pairs only_row(const io::Pairs& pairs, size_t row) {
  io::Pairs one;
  for (const auto sentence : {pairs.a(row), pairs.b(row)}) {
    one.ids.insert(one.ids.end(), sentence.begin(), sentence.end());
    one.starts.push_back(one.ids.size());
  }
  one.labels.push_back(pairs.labels[row]);
  return one;
}

Latencies Ensemble::score_one_by_one(const std::vector<io::Pairs>& input) const {
  using clock = std::chrono::steady_clock;
  const auto ms_since = [](clock::time_point t) {
    return std::chrono::duration<double, std::milli>(clock::now() - t).count();
  };
  std::deque<Scorer> scorers;
  for (const ModelSource& source : sources_) scorers.emplace_back(source, 1);
  Latencies all;
  for (size_t row = 0; row < input.at(0).size(); row++) {
    std::vector<io::Pairs> pairs;  // the row, once per tokenizer
    for (const io::Pairs& all_rows : input) pairs.push_back(only_row(all_rows, row));
    const auto before = clock::now();
    int cold = 0;
    for (size_t m = 0; m < scorers.size(); m++) cold += scorers[m].warm_up(pairs.at(input_of_[m]));
    if (cold) all.warm_ups++, all.warm_up_ms += ms_since(before);

    const auto start = clock::now();
    std::vector<double> sums(2, 0);
    for (size_t m = 0; m < scorers.size(); m++)
      scorers[m].add_log_probabilities(sums, pairs.at(input_of_[m]), row);
    all.scores.push_back(scores_of(std::move(sums), size())[0]);
    all.ms.push_back(ms_since(start));
  }
  return all;
}

std::string latency_table(const Latencies& latencies) {
  std::vector<double> ms = latencies.ms;
  if (ms.empty()) io::fail("no pair could be scored, and none was timed");
  std::sort(ms.begin(), ms.end());
  const auto percentile = [&](size_t p) { return ms[(p * ms.size() + 99) / 100 - 1]; };
  std::string text = fmt::format("pairs    {:>10}, one by one\n", ms.size());
  text += fmt::format(
      "warm-up  {:>10.3f} ms before the first pair of {}, not counted below\n", latencies.warm_up_ms,
      latencies.warm_ups == 1 ? "its bucket" : fmt::format("each of {} buckets", latencies.warm_ups));
  const double mean = std::accumulate(ms.begin(), ms.end(), 0.0) / double(ms.size());
  for (const auto& [name, value] : {std::pair{"p50", percentile(50)},
                                    {"p90", percentile(90)},
                                    {"p99", percentile(99)},
                                    {"max", ms.back()},
                                    {"mean", mean}})
    text += fmt::format("{:<8} {:>10.3f} ms\n", name, value);
  return text;
}

// ---- Files ------------------------------------------------------------------------------------------------

std::string scores_text(std::span<const float> scores, std::span<const size_t> gaps) {
  std::string text;
  for (size_t line = 0, gap = 0; line < scores.size() + gaps.size(); line++) {
    if (gap < gaps.size() && gaps[gap] == line) text += "\n", gap++;
    else text += fmt::format("{:.9g}\n", scores[line - gap]);
  }
  return text;
}

void write_scores(const std::string& path, std::span<const float> scores, std::span<const size_t> gaps) {
  io::write_file_atomically(path, scores_text(scores, gaps));
}

void warn_of_truncated(size_t pairs) {
  if (pairs) io::warn("{} pairs were truncated to data.max_tokens", pairs);
}

bool is_score_file(const std::string& path) {
  std::error_code none;
  if (!std::filesystem::exists(path, none) || std::filesystem::is_directory(path, none) ||
      path.ends_with(".npz") || path.ends_with(".safetensors"))
    return false;
  if (!std::filesystem::is_regular_file(path, none)) return true;  // a pipe: only read_scores may read it
  return io::foreign_kind(io::read_file(path, io::file_kind_bytes)) != io::zip_archive;  // .npz of any name
}

std::vector<float> read_scores(const std::string& path) {
  std::vector<float> scores;
  std::istringstream text(io::read_text(path));
  for (std::string line; std::getline(text, line);) {
    const std::string_view word = io::strip(line);
    const auto score = io::to_number<float>(word);
    if (!score || !(*score >= 0 && *score <= 1))
      io::fail("{}: line {}: {} is no score; expected a number in [0, 1], one a line, as predict writes them",
               path, scores.size() + 1, io::quote(word));
    scores.push_back(*score);
  }
  if (scores.empty()) io::fail("{}: no scores", path);
  return scores;
}

}  // namespace warpbert
