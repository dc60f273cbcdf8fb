// run.json of a run: its threshold, which predict, eval and export use, and what a finished run without
// checkpoints is judged by. HASH stands for the hash of the run's data. A record with any text in it reads as
// it was written.
#include <cmath>
#include <nlohmann/json.hpp>

#include "fuzz.h"
#include "train/report/report.h"
#include "train/run/completion.h"
#include "train/score/trained_model.h"

using namespace warpbert;
using namespace warpbert::fuzz;

namespace {

constexpr int wanted_epochs = 3;

// A folder with what a finished run leaves besides run.json.
struct Run {
  Options options;
  RunDirectory directory;
  RunSetup setup;
  RunData data;

  Run() : options(written()), directory(options.run.directory), setup(options), data(read_run_data(setup)) {}

  static Options written() {
    Options o;
    o.data.train = write("train.tsv", "1 2\t2 1\t1\n1\t2\t0\n2 2\t1\t0\n"), o.data.min_count = 1;
    o.model.layers = 1, o.model.hidden = 32, o.model.heads = 2, o.model.max_positions = 40;
    o.train.epochs = wanted_epochs, o.run.directory = folder() / "run";
    std::filesystem::create_directory(o.run.directory);
    write("run/config.ini", config_text(o));
    for (const char* file : {"run/best.npz", "run/report.html"}) write(file, "");
    return o;
  }
};

struct Read {
  std::optional<double> threshold;
  std::optional<Completion> completion;  // nullopt: refused
};

Read read(Run& run, std::string_view text) {
  const std::string path = write("run/run.json", text);
  Read all;
  accepts(path, [&] { all.threshold = find_model(run.options.run.directory).threshold; });
  require(!all.threshold || (*all.threshold >= 0 && *all.threshold <= 1), "a threshold is outside [0, 1]");
  accepts(run.options.run.directory, [&] {
    all.completion = completion(run.directory, run.setup.options, run.data);
    require(all.completion && all.completion->epochs >= 0, "a run with all results is unfinished");
  });
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Run run;
  const std::string hash = hash_text(run.data.start_hash);
  const std::string_view input = text_of(data, size);
  std::string text(input);
  if (const size_t at = text.find("HASH"); at != text.npos) text.replace(at, 4, hash);
  read(run, text);

  RunRecord record;
  record.name = record.config = text, record.data_hash = hash;
  record.facts = record.machine = {{text, text}};
  record.threshold = double(size % 1000) / 999;
  const int epochs = int(size % wanted_epochs) + 1;
  for (int epoch = 1; epoch <= epochs; epoch++)
    record.epochs.push_back({epoch, std::nan(""), 1e-300 * double(size), double(size)});
  const Read again = read(run, json_text(run_json(record)));
  require(again.threshold == record.threshold, "a threshold reads otherwise");
  require(again.completion && again.completion->epochs == epochs, "a finished run reads otherwise");
  require(again.completion->stopped_early == (epochs < wanted_epochs), "a run's last epoch reads otherwise");
  return 0;
}
