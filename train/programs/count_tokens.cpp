// count_tokens CORPUS … --vocab vocab.txt --output counts.json: counts tokens of plain text
// (docs/weights.md).
#include <fmt/ranges.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>

#include "engine/processors.h"
#include "io/atomic_file.h"
#include "io/error.h"
#include "io/text.h"
#include "io/text_file.h"
#include "io/vocab.h"
#include "io/wordpiece.h"
#include "programs.h"
#include "train/config/command_line.h"

using namespace warpbert;

namespace {

struct Chunk {
  long number;       // in reading order
  std::string path;  // for messages
  int64_t line;      // number of its first line
  std::string text;  // whole lines
};

class Corpora {
 public:
  explicit Corpora(const std::vector<std::string>& paths) : paths_(paths) {}

  bool next(Chunk& chunk) {  // one thread at a time
    chunk.number = chunks_;  // even if it fails
    for (;;) {
      if (!file_) {
        if (place_ == paths_.size()) return false;
        const std::string& path = paths_[place_++];
        if (std::filesystem::is_directory(path)) io::fail("{}: is a folder", path);
        file_.emplace(path);
        line_ = 1;
      }
      chunk = {chunks_, file_->name(), line_, read()};
      if (!chunk.text.empty()) break;
      file_.reset();
    }
    chunks_++;
    line_ += std::count(chunk.text.begin(), chunk.text.end(), '\n');
    return true;
  }

 private:
  // Up to a line end; "" at the end of the file.
  std::string read() {
    std::string text = std::exchange(rest_, {});
    for (;;) {
      const std::string more = file_->read();
      if (file_->name().ends_with(".gz") && !file_->is_gzip())
        io::fail("{} is no gzip file, or is damaged", file_->name());
      text += more;
      if (more.empty()) return text;
      if (const size_t end = text.rfind('\n'); end != text.npos) {
        rest_ = text.substr(end + 1);
        text.resize(end + 1);
        return text;
      }
    }
  }

  const std::vector<std::string>& paths_;
  size_t place_ = 0;
  std::optional<io::TextFile> file_;
  std::string rest_;
  int64_t line_ = 1;
  long chunks_ = 0;
};

void count_chunk(const Chunk& chunk, io::WordPiece& tokenizer, std::vector<int64_t>& counts) {
  if (const size_t bad = io::find_malformed_utf8(chunk.text); bad != chunk.text.npos)
    io::fail("{}: line {} is not UTF-8", chunk.path,
             chunk.line + std::count(chunk.text.begin(), chunk.text.begin() + long(bad), '\n'));
  std::vector<int> ids;
  tokenizer.encode(chunk.text, ids);
  for (int id : ids) counts[size_t(id)]++;
}

// Reports the first failure in text order.
std::vector<int64_t> count(const std::vector<std::string>& paths, const io::WordPiece& tokenizer,
                           size_t tokens, int threads) {
  Corpora corpora(paths);
  std::mutex mutex;  // guards corpora and all below
  std::vector<int64_t> total(tokens);
  std::map<long, std::exception_ptr> failures;  // by chunk number
  const auto work = [&] {
    Chunk chunk{};
    try {
      io::WordPiece own = tokenizer;
      std::vector<int64_t> counts(tokens);
      for (;;) {
        {
          const std::lock_guard lock(mutex);
          if (!failures.empty() || !corpora.next(chunk)) break;
        }
        count_chunk(chunk, own, counts);
      }
      const std::lock_guard lock(mutex);
      std::transform(total.begin(), total.end(), counts.begin(), total.begin(), std::plus());
    } catch (...) {
      const std::lock_guard lock(mutex);
      failures.emplace(chunk.number, std::current_exception());
    }
  };
  std::vector<std::jthread> workers;
  for (int i = 0; i < threads; i++) workers.emplace_back(work);
  workers.clear();  // joins
  if (!failures.empty()) std::rethrow_exception(failures.begin()->second);
  return total;
}

// Tokens that occur, by descending count, ties by id.
std::string counts_text(const std::vector<std::string>& vocab, const std::vector<int64_t>& counts) {
  std::vector<size_t> ids(vocab.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](size_t a, size_t b) { return counts[a] > counts[b]; });
  std::string text;
  for (size_t id : ids)
    if (counts[id])
      text +=
          fmt::format("{}{}: {}", text.empty() ? "{" : ", ", nlohmann::json(vocab[id]).dump(), counts[id]);
  return text + "}";
}

}  // namespace

int warpbert::count_tokens_main(int argc, char** argv) {
  std::vector<std::string> corpora;
  std::string vocab_path, output;
  int threads = 0;
  bool cased = false;
  CommandLine line(
      "count_tokens",
      "Counts the WordPiece tokens of plain text, for the order in which a pretrained embedding is aligned: "
      "UTF-8, .gz or not;\n- is standard input. Special tokens and [UNK] are left out.");
  line.arguments("CORPUS", "the files of text", corpora, true);
  line.required("--vocab", "FILE", "vocab.txt or tokenizer.json of the pretrained BERT", vocab_path);
  line.required("--output", "FILE",
                "counts.json, {\"token\": count, …}, the most frequent first; - for standard output", output);
  line.toggle("--cased", "keep capitals and accents, for a cased BERT", cased);
  line.integer("--threads", "N", "0: one a processor", threads, 0, 4096);
  if (!line.parse(argc, argv)) return 0;
  std::vector<std::string> inputs = corpora;
  inputs.push_back(vocab_path);
  refuse_overwriting(output, inputs);
  if (!threads) threads = available_processors();

  const io::VocabFile file = io::read_vocab_file(vocab_path);
  const std::vector<std::string>& vocab = file.tokens;
  const char* given = cased ? "--cased is given" : "--cased is not given";
  if (const auto conflict = io::case_conflict(vocab_path, file, !cased, given)) io::warn("{}", *conflict);
  const io::WordPiece tokenizer(vocab, vocab_path, !cased);
  std::vector<int64_t> counts = count(corpora, tokenizer, vocab.size(), threads);
  const auto sum = [&] { return std::accumulate(counts.begin(), counts.end(), int64_t(0)); };
  const int64_t all = sum();
  for (int id : tokenizer.special()) counts[size_t(id)] = 0;
  if (!sum()) io::fail("no token in {}, or unknown ones alone", fmt::join(corpora, ", "));
  io::write_file_atomically(output, counts_text(vocab, counts));
  if (io::is_standard_output(output)) return 0;
  fmt::print("{}: {} distinct of {} tokens, {} in all, of them {} unknown or special, which are left out\n",
             io::printable(output),
             std::count_if(counts.begin(), counts.end(), [](int64_t n) { return n > 0; }), vocab.size(), all,
             all - sum());
  return 0;
}
