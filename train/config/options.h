// Options of a run; the table in options.cpp has names, types, ranges, defaults and meanings.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine/dtype.h"

namespace warpbert {

// Command-line or INI error; exit code 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class MlmHead { archive, fresh };
enum class DeviceKind { automatic, cuda, cpu };
// pretrain: masked tokens; finetune: labels; joint: both.
enum class Stage { joint, pretrain, finetune };
enum class Schedule { constant, linear, cosine };
enum class LossScale { mean, keras_fill };
enum class Score { ratio, sigmoid };

constexpr int most_layers = 1024;

// Paths are absolute after parsing; empty: not given.
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
  int micro_batch = 0;  // 0: the whole batch
  int shards = 0;       // 0: number of processes
  double lr = 1e-5;
  double warmup = 0;  // fraction of all steps
  Schedule schedule = Schedule::constant;
  double final_lr = 0;  // fraction of lr
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
  std::string directory;  // never empty after parsing
  DeviceKind device = DeviceKind::automatic;
  int threads = 0;  // 0: one per processor
  int log_every = 50;
  int evaluate_every = 1;
  double checkpoint_minutes = 10;  // 0: off
  int checkpoint_steps = 0;        // 0: off
  int keep_checkpoints = 1;
  int keep_best = 1;
  bool graphs = true;
  bool gemm_tuning = false;
  int wait_seconds = 600;  // 0: forever
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

// From the command line; key is "section.key".
struct Override {
  std::string key, value;
};

// Reads defaults, the INI file (paths relative to its folder), then overrides (relative to the current
// folder). run.directory defaults to runs/<INI name> beside the INI, for a run's own config.ini to its
// folder. Throws UsageError.
Options read_options(const std::string& ini_path, const std::vector<Override>& overrides = {});

// Throws UsageError for an unknown key or an invalid value.
void set_option(Options& options, const Override& override);

// Text of config.ini; read_options restores equal options.
std::string config_text(const Options& options);

// A changed key that prevents resuming. More epochs (may_grow), moved files of the same name, and options
// without effect on the result do not.
struct Difference {
  std::string key, saved, wanted;
};
std::vector<Difference> differences(const Options& saved, const Options& wanted);

// False if learning rates depend on the epoch count, or the last epoch was evaluated only as the last.
bool may_grow(const Options& options);

struct OptionInfo {
  std::string section, key, type, default_value, meaning;
  std::string name() const { return section + "." + key; }
};
const std::vector<OptionInfo>& option_list();

// Value as in config.ini; the key must exist.
std::string option_value(const Options& options, std::string_view name);

// Suggestion for an unknown "section.key" or "key"; "" if none.
std::string nearest_key(std::string_view name);

}  // namespace warpbert
