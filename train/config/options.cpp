#include "options.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "io/error.h"
#include "io/ini.h"
#include "io/text.h"
#include "kernels/kernels.h"
#include "option_kinds.h"

namespace warpbert {

namespace fs = std::filesystem;
using namespace option;

namespace {

constexpr int unlimited = std::numeric_limits<int>::max();
constexpr double largest = std::numeric_limits<double>::max();

std::vector<Option> make_table() {
  const Range<double> fraction{0, 1}, below_one{0, 1, true};
  return {
      path("data.train", &DataOptions::train, "the pairs to train on: lines of ids<TAB>ids[<TAB>label]"),
      path("data.test", &DataOptions::test, "unlabelled pairs: trained on as language, scored at the end"),
      path("data.counts", &DataOptions::counts,
           "token counts of a public corpus (counts.json); needed with weights"),
      path("data.vocab", &DataOptions::vocab,
           "the pretrained model's vocab.txt or tokenizer.json; needed with weights, and for text"),
      choice("data.text", &DataOptions::text, {"false", "true"},
             "the pairs are plain text, sentence<TAB>sentence[<TAB>label], tokenized by WordPiece; no counts "
             "are needed"),
      choice("data.lowercase", &DataOptions::lowercase, {"false", "true"},
             "lower-case plain text and strip its accents; for an uncased vocab.txt"),
      integer("data.max_tokens", &DataOptions::max_tokens, {2, kernels::max_attention_length - 3},
              "tokens of both sentences together, without [CLS] and [SEP]; the longer sentence is truncated"),
      integer("data.min_count", &DataOptions::min_count, {1, unlimited}, "rarer ids become [UNK]"),
      integer(
          "data.validation_every", &DataOptions::validation_every, {0, unlimited},
          "every n-th row is for validation; 0: none, all labels train, and the last epoch's model is kept"),
      integer("data.fold", &DataOptions::fold, {0, unlimited},
              "first validation row, below validation_every; selects the fold of a cross-validation"),

      path("model.weights", &ModelOptions::weights,
           "pretrained BERT: .npz, .safetensors, or a Hugging Face folder, whose vocab.txt is then the "
           "default of data.vocab; empty: random weights"),
      path("model.config", &ModelOptions::config,
           "bert_config.json or config.json of the weights, for the number of heads"),
      choice("model.mlm_head", &ModelOptions::mlm_head, {"archive", "fresh"},
             "the masked-language head: from the weights, or new"),
      integer("model.layers", &ModelOptions::layers, {1, most_layers},
              "encoder layers; the weights' shapes win"),
      multiple("model.hidden", &ModelOptions::hidden, 8, {8, 1024}, "hidden size; the weights' shapes win"),
      integer("model.heads", &ModelOptions::heads, {0, 1024},
              "attention heads, of 16, 32, 64 or 128; 0: from model.config, else a config beside the "
              "weights, else hidden/64"),
      multiple("model.intermediate", &ModelOptions::intermediate, 8, {0, 262144},
               "width of the feed-forward layer; 0: 4 times hidden; the weights' shapes win"),
      integer("model.max_positions", &ModelOptions::max_positions, {5, 65535},
              "rows of the position table; the weights' shapes win"),
      real("model.dropout", &ModelOptions::dropout, below_one,
           "dropout after embeddings, attention and feed-forward"),
      real("model.attention_dropout", &ModelOptions::attention_dropout, below_one,
           "dropout of attention probabilities"),
      real("model.layer_norm_epsilon", &ModelOptions::layer_norm_epsilon, fraction,
           "added to the variance; 0: from the configuration where heads come from, else 1e-12"),
      real("model.initializer_range", &ModelOptions::initializer_range, {0, 10},
           "standard deviation of random weights, before they are truncated at twice that"),

      choice("train.stage", &TrainOptions::stage, {"joint", "pretrain", "finetune"},
             "joint: labels and masked tokens; pretrain: masked tokens alone, labels stay unseen; finetune: "
             "labels alone, of labelled pairs, and masked tokens are only noise"),
      with(integer("train.epochs", &TrainOptions::epochs, {0, unlimited},
                   "passes over the training pairs; 0: save the initial model. May grow when a run is "
                   "resumed, except for runs with train.warmup or a train.schedule, whose learning rates "
                   "depend on it, and off the grid of run.evaluate_every"),
           Change::may_grow),
      integer("train.batch", &TrainOptions::batch, {1, 32768}, "pairs a step"),
      integer(
          "train.micro_batch", &TrainOptions::micro_batch, {0, 32768},
          "pairs at once on the device: less memory, the gradients of a step add up; 0: all of train.batch"),
      integer("train.shards", &TrainOptions::shards, {0, 4096},
              "shards of a step, each with its own gradient, which processes share; the bits depend on them, "
              "not on the number of processes; 0: one for each process at the start"),
      real("train.lr", &TrainOptions::lr, {0, 10}, "learning rate of Adam"),
      real("train.warmup", &TrainOptions::warmup, below_one,
           "share of all steps in which the learning rate rises to lr; linear from 0"),
      choice("train.schedule", &TrainOptions::schedule, {"constant", "linear", "cosine"},
             "learning-rate schedule after the warm-up"),
      real("train.final_lr", &TrainOptions::final_lr, fraction,
           "share of lr at the last step; not for constant"),
      real("train.label_smoothing", &TrainOptions::label_smoothing, {0, 0.5},
           "e: a label y of a pair becomes y*(1 - e) + e/2"),
      integer("train.seed", &TrainOptions::seed, {0, std::numeric_limits<int64_t>::max()},
              "seed of all random numbers: weights, order, masks, dropout"),
      choice("train.precision", &TrainOptions::precision, {"bf16", "fp32", "tf32"},
             "precision of GEMMs and activations; tf32 is fp32 on a CPU"),
      real("train.beta1", &TrainOptions::beta1, below_one, "Adam's decay of the mean gradient"),
      real("train.beta2", &TrainOptions::beta2, below_one, "Adam's decay of the mean squared gradient"),
      real("train.epsilon", &TrainOptions::epsilon, {1e-30, 1}, "added to the root in Adam's denominator"),
      real("train.weight_decay", &TrainOptions::weight_decay, fraction, "decoupled from the gradient"),
      real("train.clip_norm", &TrainOptions::clip_norm, {0, largest},
           "largest norm of the whole gradient; 0: no limit"),
      real("train.skip_outliers", &TrainOptions::skip_outliers, {0, largest},
           "skip a step whose gradient norm is this many standard deviations above the mean of the last 128; "
           "0: never"),
      real("train.layer_decay", &TrainOptions::layer_decay, fraction,
           "layer-wise learning rate decay: a layer's learning rate is this factor times that of the layer "
           "above, the embeddings' this factor times the lowest layer's"),
      real("train.embedding_rate", &TrainOptions::embedding_rate, {0, 1000},
           "another factor on the learning rate of the embeddings"),
      real("train.ema", &TrainOptions::ema, below_one,
           "decay of the EMA weights, which are evaluated and kept in place of the weights; 0: none"),
      real("train.fgm", &TrainOptions::fgm, {0, 1000},
           "adversarial training: norm of the perturbation of the word embedding along its gradient; a step "
           "takes twice the time; 0: none"),
      integer("train.patience", &TrainOptions::patience, {0, unlimited},
              "stop after this number of evaluations without a better AUC; 0: never"),

      real("mask.probability", &MaskOptions::probability, fraction, "share of tokens to be predicted"),
      real("mask.mask", &MaskOptions::mask, fraction, "share of the predicted tokens that become [MASK]"),
      real("mask.keep", &MaskOptions::keep, fraction,
           "share of the predicted tokens that stay; the rest become random tokens"),
      real("mask.swap", &MaskOptions::swap, fraction, "probability of swapping the sentences of a pair"),
      distribution("mask.ngram", &MaskOptions::ngram, 8,
                   "probabilities of predicted spans of 1, 2, 3, ... tokens, such as 0.7,0.2,0.1; a token is "
                   "left out after each span; 1: single tokens, as they fall"),

      choice("loss.scale", &LossOptions::scale, {"mean", "keras_fill"},
             "mean over the targets, or that times the fill of the padded batch, as the reference prints it"),

      choice("predict.score", &PredictOptions::score, {"ratio", "sigmoid"},
             "p(yes) / (p(no) + p(yes) + 1e-8), or sigmoid(logit(yes) - logit(no))"),
      choice("predict.swap", &PredictOptions::swap, {"false", "true"},
             "score every pair in both orders, (a, b) and (b, a), by the mean of both; takes twice the time"),
      integer("predict.batch", &PredictOptions::batch, {1, 32768}, "pairs scored at once"),

      with(path("run.directory", &RunOptions::directory,
                "all results; empty: runs/<name of the INI>, beside the INI"),
           Change::allowed),
      choice("run.device", &RunOptions::device, {"auto", "cuda", "cpu"}, "auto: the device of this build"),
      with(integer("run.threads", &RunOptions::threads, {0, 1024}, "threads on the CPU; 0: one a processor"),
           Change::allowed),
      integer("run.log_every", &RunOptions::log_every, {1, unlimited},
              "steps between two step lines; fixed for a run"),
      integer("run.evaluate_every", &RunOptions::evaluate_every, {1, unlimited},
              "epochs between two evaluations"),
      with(real("run.checkpoint_minutes", &RunOptions::checkpoint_minutes, {0, 1e6},
                "minutes between two checkpoints; 0: none by the clock"),
           Change::allowed),
      with(integer("run.checkpoint_steps", &RunOptions::checkpoint_steps, {0, unlimited},
                   "steps between two checkpoints; 0: none by steps"),
           Change::allowed),
      with(integer("run.keep_checkpoints", &RunOptions::keep_checkpoints, {1, unlimited},
                   "number of checkpoints to keep"),
           Change::allowed),
      integer(
          "run.keep_best", &RunOptions::keep_best, {1, unlimited},
          "number of models to keep: best.npz, and for more than 1 models/epoch-N.npz of the best epochs"),
      with(choice("run.graphs", &RunOptions::graphs, {"false", "true"},
                  "launch steps as CUDA graphs; false shows every launch and range to a profiler, and gives "
                  "the same bits"),
           Change::allowed),
      choice("run.gemm_tuning", &RunOptions::gemm_tuning, {"false", "true"},
             "on a GPU, time the library's algorithms for each matrix product at its first use; false: its "
             "choice"),
      with(path("run.gemm_cache", &RunOptions::gemm_cache,
                "the file that keeps autotuned algorithms; empty: warpbert/gemm.txt in the user's cache "
                "folder"),
           Change::allowed),
      with(integer("run.wait_seconds", &RunOptions::wait_seconds, {0, unlimited},
                   "seconds that a process waits for the others before it aborts them; 0: forever"),
           Change::allowed),
      with(choice("run.csv", &RunOptions::csv, {"false", "true"},
                  "also write the step lines to steps.csv and the epoch lines to epochs.csv, anew after "
                  "every epoch"),
           Change::allowed),
      with(choice(
               "run.tensorboard", &RunOptions::tensorboard, {"false", "true"},
               "also write losses, learning rates and validation for TensorBoard, to events.out.tfevents.*"),
           Change::allowed),

      with(integer("profile.start_step", &ProfileOptions::start_step, {0, unlimited},
                   "first step, from 1, of the window that nsys records (scripts/profile); 0: none"),
           Change::allowed),
      with(integer("profile.steps", &ProfileOptions::steps, {1, unlimited}, "steps in the window"),
           Change::allowed),
      with(choice("profile.kernels", &ProfileOptions::kernels, {"false", "true"},
                  "print what each kernel took in the window's steps, which are sent without graphs: slower, "
                  "same bits"),
           Change::allowed),
  };
}

const std::vector<Option>& table() {
  static const std::vector<Option> options = make_table();
  return options;
}

const Option* find(std::string_view name) {
  const auto found =
      std::find_if(table().begin(), table().end(), [&](const Option& o) { return o.name() == name; });
  return found == table().end() ? nullptr : &*found;
}

// `dashes`: for messages about the command line.
void set(Options& options, const std::string& name, const std::string& text, const fs::path& base,
         std::string_view dashes = "") {
  const Option* option = find(name);
  if (!option) {
    const std::string near = nearest_key(name);
    throw UsageError(fmt::format(
        "unknown option '{}{}'; {}", dashes, name,
        near.empty() ? "--help lists them all" : fmt::format("did you mean '{}{}'?", dashes, near)));
  }
  try {
    option->set(options, text, base);
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}{}: {}", dashes, name, error.what()));
  }
}

void read_ini_into(Options& options, const std::string& path) {
  try {
    const fs::path folder = fs::absolute(path).parent_path();
    for (const io::IniEntry& entry : io::read_ini(path)) {
      try {
        set(options, entry.section.empty() ? entry.key : entry.section + "." + entry.key, entry.value,
            folder);
      } catch (const UsageError& error) {
        throw UsageError(fmt::format("{}: line {}: {}", path, entry.line, error.what()));
      }
    }
  } catch (const io::Error& error) {
    throw UsageError(error.what());
  }
}

void check_together(const Options& options) {
  if (options.mask.mask + options.mask.keep > 1)
    throw UsageError(
        fmt::format("mask.mask + mask.keep = {} is more than 1", options.mask.mask + options.mask.keep));
  if (options.mask.probability > 0.5 && options.mask.ngram[0] < 1)
    throw UsageError(fmt::format(
        "mask.probability = {}: at most 0.5 with spans (mask.ngram), for a token is left out after each",
        options.mask.probability));
  const int folds = options.data.validation_every, patience = options.train.patience;
  if (folds == 1)
    throw UsageError("data.validation_every = 1: no row would be left to train on; 0: none validates");
  if (patience && (!folds || options.train.stage == Stage::pretrain))
    throw UsageError(fmt::format("train.patience = {}: there is no AUC to wait for with {}", patience,
                                 folds ? "train.stage = pretrain" : "data.validation_every = 0"));
  if (options.train.stage == Stage::pretrain && options.mask.probability == 0)
    throw UsageError("mask.probability = 0: train.stage = pretrain has nothing to learn but masked tokens");
  if (options.data.fold >= std::max(folds, 1))
    throw UsageError(
        fmt::format("data.fold = {}: folds are numbered from 0 to data.validation_every - 1 = {}",
                    options.data.fold, std::max(folds - 1, 0)));
  if (options.train.fgm > 0 && options.train.micro_batch > 0 &&
      options.train.micro_batch < options.train.batch)
    throw UsageError(
        "train.fgm needs the gradient of the whole batch; set train.micro_batch = 0, or a smaller "
        "train.batch");
  std::error_code none;
  const bool in_folder = fs::is_directory(options.model.weights, none);  // which may bring its vocab.txt
  if (options.data.text && options.data.vocab.empty() && !in_folder)
    throw UsageError(
        "data.vocab: missing; with data.text = true it is the vocab.txt that tokenizes the texts");
  if (options.profile.kernels && !options.profile.start_step)
    throw UsageError("profile.kernels needs a window; set profile.start_step to its first step, such as 100");
  if (options.data.train.empty()) throw UsageError("data.train: missing; name the file of pairs to train on");
}

}  // namespace

std::string nearest_key(std::string_view name) {
  const std::string_view key = name.substr(name.rfind('.') + 1);
  // Names used by other programs.
  for (const auto& [other, ours] : {std::pair{"learning_rate", "train.lr"},
                                    {"batch_size", "train.batch"},
                                    {"num_epochs", "train.epochs"},
                                    {"max_length", "data.max_tokens"},
                                    {"max_seq_length", "data.max_tokens"},
                                    {"output_dir", "run.directory"}})
    if (key == other) return ours;
  std::vector<std::string> names, same_key;
  for (const Option& option : table()) {
    names.push_back(option.name());
    if (option.key == key) same_key.push_back(option.name());
  }
  return same_key.size() == 1 ? same_key[0] : io::nearest(name, names);
}

std::string option_value(const Options& options, std::string_view name) { return find(name)->get(options); }

static constexpr std::string_view config_title = "# The configuration of this run, complete";

// Folder of the run whose config.ini this is, or "". train wrote the file, and the run's lock or log is
// beside it.
static std::string folder_of_run(const std::string& ini_path) {
  std::error_code none;
  fs::path ini = fs::absolute(ini_path).lexically_normal();
  if (fs::is_symlink(ini, none)) ini = fs::canonical(ini, none);
  const fs::path folder = ini.parent_path();
  if (ini.filename() != "config.ini" ||
      !(fs::exists(folder / "lock", none) || fs::exists(folder / "metrics.jsonl", none)))
    return "";
  return io::read_file(ini, 4096).find(config_title) == std::string::npos ? "" : folder.string();
}

Options read_options(const std::string& ini_path, const std::vector<Override>& overrides) {
  Options options;
  read_ini_into(options, ini_path);
  // The run may have moved.
  if (const std::string folder = folder_of_run(ini_path); !folder.empty()) options.run.directory = folder;
  for (const Override& override : overrides) set_option(options, override);
  if (options.run.directory.empty()) {
    // Runs of a linked INI are where the file is, not in the build folder, unless a run is there already.
    const fs::path ini = fs::absolute(ini_path).lexically_normal(), run = fs::path("runs") / ini.stem();
    const fs::path beside = ini.parent_path() / run;
    std::error_code no_file;  // "-" is standard input
    const fs::path file = fs::exists(beside, no_file) ? ini : fs::canonical(ini, no_file);
    set(options, "run.directory", (no_file ? beside : file.parent_path() / run).string(), {});
  }
  check_together(options);
  return options;
}

void set_option(Options& options, const Override& override) {
  set(options, override.key, override.value, fs::current_path(), "--");
}

std::string config_text(const Options& options) {
  std::string text = std::string(config_title) +
                     ": `train --config` with it starts the same run again, wherever it was moved.\n";
  std::string section;
  for (const Option& option : table()) {
    if (option.section != section) text += fmt::format("\n[{}]\n", option.section);
    section = option.section;
    const std::string value = option.get(options);
    text += fmt::format("# {} ({})\n{} ={}{}\n", option.meaning, option.type, option.key,
                        value.empty() ? "" : " ", value);
  }
  return text;
}

bool may_grow(const Options& options) {
  return options.train.warmup == 0 && options.train.schedule == Schedule::constant &&
         options.train.epochs % options.run.evaluate_every == 0;
}

std::vector<Difference> differences(const Options& saved, const Options& wanted) {
  std::vector<Difference> found;
  for (const Option& option : table()) {
    const Difference difference{option.name(), option.get(saved), option.get(wanted)};
    const bool grown = option.change == Change::may_grow &&
                       std::stoll(difference.wanted) > std::stoll(difference.saved) && may_grow(saved);
    const auto file = [](const std::string& path) { return fs::path(path).filename(); };
    const bool moved = option.change == Change::moved && file(difference.saved) == file(difference.wanted);
    if (difference.saved != difference.wanted && !grown && !moved && option.change != Change::allowed)
      found.push_back(difference);
  }
  return found;
}

const std::vector<OptionInfo>& option_list() {
  static const std::vector<OptionInfo> list = [] {
    std::vector<OptionInfo> infos;
    for (const Option& o : table()) infos.push_back({o.section, o.key, o.type, o.get(Options()), o.meaning});
    return infos;
  }();
  return list;
}

}  // namespace warpbert
