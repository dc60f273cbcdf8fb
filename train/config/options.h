// The options of a run. One table (options.cpp) holds every key's name, type, range, default and meaning; the INI file,
// the command line, --help, the saved config.ini and the comparison of two configurations are all read off it.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine/dtype.h"

namespace warpbert {

// The command line or the INI file is at fault: exit code 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class MlmHead { archive, fresh };
enum class DeviceKind { automatic, cuda, cpu };
// What a run trains: labels and masked tokens together (the recipe), the masked tokens alone, or the labels alone.
enum class Stage { joint, pretrain, finetune };
enum class Schedule { constant, linear, cosine };
enum class LossScale { mean, keras_fill };
enum class Score { ratio, sigmoid };

constexpr int most_layers = 1024;

// Paths are absolute once parsed; an empty path means that none was given.
struct DataOptions {
  std::string train, test, counts, vocab;
  bool text = false, lowercase = true;
  int max_tokens = 32;
  int min_count = 5;
  int validation_every = 10;
  int fold = 0;
};

struct ModelOptions {
  std::string weights, config;
  MlmHead mlm_head = MlmHead::archive;
  int layers = 12;
  int hidden = 768;
  int intermediate = 0;  // 0: 4·hidden
  int heads = 0;         // 0: from the configuration file, else hidden/64
  int max_positions = 512;
  double dropout = 0.1;
  double attention_dropout = 0;
  double layer_norm_epsilon = 0;  // 0: from the configuration file, else 1e-12
  double initializer_range = 0.02;
};

struct TrainOptions {
  Stage stage = Stage::joint;
  int epochs = 100;
  int batch = 64;
  int micro_batch = 0;  // 0: all of batch
  double lr = 1e-5;
  double warmup = 0;  // share of all steps
  Schedule schedule = Schedule::constant;
  double final_lr = 0;  // share of lr
  double label_smoothing = 0;
  int64_t seed = 0;
  Precision precision = Precision::bf16;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-7;
  double weight_decay = 0;
  double clip_norm = 0;      // 0: off
  double skip_outliers = 0;  // 0: off
  double layer_decay = 1;
  double embedding_rate = 1;
  double ema = 0;    // 0: off
  double fgm = 0;    // 0: off
  int patience = 0;  // 0: off
};

struct MaskOptions {
  double probability = 0.15;
  double mask = 0.8;
  double keep = 0.1;
  double swap = 0.5;
  std::vector<double> ngram = {1};  // [n − 1]: probability of a span of n tokens
};

struct LossOptions {
  LossScale scale = LossScale::mean;
};

struct PredictOptions {
  Score score = Score::ratio;
  bool swap = false;
  int batch = 256;
};

struct ProfileOptions {
  int start_step = 0;  // 0: no window
  int steps = 10;
  bool kernels = false;
};

struct RunOptions {
  std::string directory;  // never empty once parsed
  DeviceKind device = DeviceKind::automatic;
  int threads = 0;  // 0: all processors
  int log_every = 50;
  int evaluate_every = 1;
  double checkpoint_minutes = 10;  // 0: off
  int checkpoint_steps = 0;        // 0: off
  int keep_checkpoints = 1;
  int keep_best = 1;
  bool graphs = true;
  bool gemm_tuning = false;
  std::string gemm_cache;  // empty: in the user's cache folder
  bool csv = false, tensorboard = false;
};

struct Options {
  DataOptions data;
  ModelOptions model;
  TrainOptions train;
  MaskOptions mask;
  LossOptions loss;
  PredictOptions predict;
  RunOptions run;
  ProfileOptions profile;
};

// A value from the command line; key is "section.key".
struct Override {
  std::string key, value;
};

// Defaults, then the INI file (its relative paths start at its folder), then the overrides (theirs at the current
// folder); run.directory defaults to runs/<name of the INI> beside it. Every fault of either is a UsageError.
Options read_options(const std::string& ini_path, const std::vector<Override>& overrides = {});

// Sets one key, checked; "section.key" unknown, value malformed or out of range: UsageError. For programs that change a
// saved configuration (predict --run.device=cpu).
void set_option(Options& options, const Override& override);

// The text of the saved config.ini: every key with its meaning as a comment. read_options gives back equal options.
std::string config_text(const Options& options);

// The keys whose values a resumed run must not change, with both values. Allowed: more epochs, another run.directory
// (the folder was moved), files of the same names elsewhere, another run.threads (the bits are the same for any).
struct Difference {
  std::string key, saved, wanted;
};
std::vector<Difference> differences(const Options& saved, const Options& wanted);

// Whether the run may be resumed with more epochs: not where its rates depend on how many there are, nor where the last
// epoch was evaluated only for being the last.
bool may_grow(const Options& options);

// What a program that takes `section.key` needs to know of the table, in its order.
struct OptionInfo {
  std::string section, key, type, default_value, meaning;
  std::string name() const { return section + "." + key; }
};
const std::vector<OptionInfo>& option_list();

// The value of "section.key" as config.ini has it; the key must exist.
std::string option_value(const Options& options, std::string_view name);

// The option that "section.key" or "key" was probably meant to be, or "".
std::string nearest_key(std::string_view name);

}  // namespace warpbert
