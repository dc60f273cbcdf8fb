#include "train/config/options.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <set>

#include "tests/support/golden.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

// Reads an INI made of the only required key followed by `text`.
static Options read(const TemporaryFolder& folder, const std::string& text,
                    const std::vector<Override>& overrides = {}) {
  return read_options(folder.write("base.ini", "[data]\ntrain = pairs.tsv\n" + text), overrides);
}
static std::string ini_refusal(const std::string& text) {
  const TemporaryFolder folder;
  const std::string message = message_of<UsageError>([&] { read(folder, text); }),
                    path = folder / "base.ini" + ": ";
  return message.starts_with(path) ? message.substr(path.size()) : "no file name: " + message;
}
static std::string refusal(const std::string& key, const std::string& value) {
  const TemporaryFolder folder;
  return message_of<UsageError>([&] { read(folder, "", {{key, value}}); });
}

TEST_CASE("options: the defaults are the recipe's") {
  const TemporaryFolder folder;
  const Options o = read(folder, "");
  CHECK(o.data.max_tokens == 32);
  CHECK(o.data.min_count == 5);
  CHECK(o.data.validation_every == 10);
  CHECK(o.model.dropout == 0.1);
  CHECK(o.model.attention_dropout == 0);
  CHECK(o.train.epochs == 100);
  CHECK(o.train.batch == 64);
  CHECK(o.train.lr == 1e-5);
  CHECK(o.train.epsilon == 1e-7);
  CHECK(o.train.precision == Precision::bf16);
  CHECK(o.mask.probability * o.mask.mask == doctest::Approx(0.12));
  CHECK(o.mask.probability * (o.mask.mask + o.mask.keep) == doctest::Approx(0.135));
  CHECK(o.mask.ngram == std::vector<double>{1});
  CHECK(o.loss.scale == LossScale::mean);
  CHECK(o.predict.score == Score::ratio);
}

TEST_CASE("options: the shipped configurations of the recipe change nothing but paths") {
  const TemporaryFolder folder;
  const Options defaults = read(folder, "");
  for (const char* name : {"base.ini", "large.ini"}) {
    std::string keys;
    for (const auto& difference :
         differences(defaults, read_options(golden_folder() + "/../../configs/" + name)))
      keys += difference.key + " ";
    CHECK(keys == "data.train data.test data.counts data.vocab model.weights ");
  }
}

TEST_CASE("options: the configurations of two stages belong together") {
  const std::string folder = std::filesystem::path(golden_folder() + "/../../configs/").lexically_normal();
  const Options first = read_options(folder + "pretrain.ini"), second = read_options(folder + "finetune.ini");
  CHECK(first.train.stage == Stage::pretrain);
  CHECK(second.train.stage == Stage::finetune);
  CHECK(second.model.weights == first.run.directory + "/best.npz");
  CHECK(second.data.train == first.data.train);
  CHECK(second.data.test == first.data.test);
}

TEST_CASE("options: the command line wins over the INI, the INI over the defaults") {
  const TemporaryFolder folder;
  const Options o = read(folder, "[train]\nlr = 3e-5\nbatch = 16\nprecision = fp32\n",
                         {{"train.batch", "8"}, {"run.device", "cpu"}});
  CHECK(o.train.lr == 3e-5);
  CHECK(o.train.batch == 8);
  CHECK(o.train.precision == Precision::fp32);
  CHECK(o.run.device == DeviceKind::cpu);
  CHECK(o.train.epochs == 100);
}

TEST_CASE("options: paths start at the INI's folder, on the command line at the current one") {
  const TemporaryFolder folder;
  const std::string here = std::filesystem::current_path().string();
  const Options o = read(folder, "test = sub/../test.tsv\nvocab = /abs/vocab.txt\n",
                         {{"model.weights", "w [1],{2}.npz"}, {"data.counts", "/abs/counts.json"}});
  CHECK(o.data.train == folder / "pairs.tsv");
  CHECK(o.data.test == folder / "test.tsv");
  CHECK(o.data.vocab == "/abs/vocab.txt");
  CHECK(o.model.weights == here + "/w [1],{2}.npz");
  CHECK(o.data.counts == "/abs/counts.json");
  CHECK(o.model.config.empty());
  CHECK(o.run.directory == folder / "runs/base");
  CHECK(read(folder, "[run]\ndirectory = out\n").run.directory == folder / "out");
  CHECK(read(folder, "[run]\ndirectory = out\n", {{"run.directory", "mine"}}).run.directory ==
        here + "/mine");
  CHECK(read(folder, "[run]\ndirectory = out\n", {{"run.directory", ""}}).run.directory ==
        folder / "runs/base");
  CHECK(read(folder, "test = t.tsv\n", {{"data.test", ""}}).data.test.empty());

  const auto home = std::filesystem::current_path();  // INI path without a folder
  std::filesystem::current_path(folder / "");
  const Options local = read_options("base.ini");
  std::filesystem::current_path(home);
  CHECK(local.data.train == folder / "pairs.tsv");
  CHECK(local.run.directory == folder / "runs/base");
}

TEST_CASE("options: a linked INI has its run beside the file, unless a run is beside the link") {
  const TemporaryFolder folder;
  namespace fs = std::filesystem;
  fs::create_directory(folder / "bin");
  folder.write("base.ini", "[data]\ntrain = pairs.tsv\n");
  fs::create_symlink("../base.ini", folder / "bin/mine.ini");
  const std::string real = fs::canonical(folder / "base.ini").parent_path().string();
  CHECK(read_options(folder / "bin/mine.ini").run.directory == real + "/runs/mine");
  fs::create_directories(folder / "bin/runs/mine");
  CHECK(read_options(folder / "bin/mine.ini").run.directory == folder / "bin/runs/mine");
}

TEST_CASE("options: the config.ini of a run names the folder where it is") {
  const TemporaryFolder folder;
  Options run = read(folder, "");
  run.run.directory = "/where/it/was";
  const auto directory = [&] { return read_options(folder / "moved/config.ini").run.directory; };
  std::filesystem::create_directories(folder / "moved");
  folder.write("moved/config.ini", config_text(run));
  CHECK(directory() == "/where/it/was");  // a copied INI, not a run
  for (const char* of_a_run : {"moved/lock", "moved/metrics.jsonl"}) {
    folder.write(of_a_run, "");
    CHECK(directory() == folder / "moved");
    std::filesystem::remove(folder / of_a_run);
  }
  folder.write("moved/lock", "");
  CHECK(read_options(folder / "moved/config.ini", {{"run.directory", "/other"}}).run.directory == "/other");
  std::filesystem::copy(folder / "moved/config.ini", folder / "moved/mine.ini");
  CHECK(read_options(folder / "moved/mine.ini").run.directory == "/where/it/was");
  folder.write("moved/config.ini", "[data]\ntrain = pairs.tsv\n[run]\ndirectory = /where/it/was\n");
  CHECK(directory() == "/where/it/was");  // written by hand
}

TEST_CASE("options: unknown keys name the nearest") {
  CHECK(ini_refusal("[train]\nlrr = 1\n") == "line 4: unknown option 'train.lrr'; did you mean 'train.lr'?");
  CHECK(ini_refusal("[trian]\nbatch = 1\n") ==
        "line 4: unknown option 'trian.batch'; did you mean 'train.batch'?");
  CHECK(ini_refusal("[model]\nepochs = 1\n") ==
        "line 4: unknown option 'model.epochs'; did you mean 'train.epochs'?");
  CHECK(ini_refusal("[train]\nquite_another_thing = 1\n") ==
        "line 4: unknown option 'train.quite_another_thing'; --help lists them all");
  CHECK(refusal("train.learning_rate", "1") ==
        "unknown option '--train.learning_rate'; did you mean '--train.lr'?");
  CHECK(refusal("batch_size", "1") == "unknown option '--batch_size'; did you mean '--train.batch'?");
  CHECK(refusal("train.epoch", "1") == "unknown option '--train.epoch'; did you mean '--train.epochs'?");
  const TemporaryFolder folder;
  CHECK(message_of<UsageError>([&] { read_options(folder.write("a.ini", "lr = 1\n")); }) ==
        folder / "a.ini" + ": line 1: unknown option 'lr'; did you mean 'train.lr'?");
}

TEST_CASE("options: malformed and out-of-range values name the key and what is allowed") {
  CHECK(ini_refusal("[train]\nlr = fast\n") == "line 4: train.lr: 'fast' is not a number in [0, 10]");
  CHECK(ini_refusal("[train]\nlr = 1e-5 # small\n") ==
        "line 4: train.lr: '1e-5 # small' is not a number in [0, 10]");
  CHECK(refusal("train.lr", "-1") == "--train.lr: '-1' is not a number in [0, 10]");
  CHECK(refusal("train.lr", "nan") == "--train.lr: 'nan' is not a number in [0, 10]");
  CHECK(refusal("train.clip_norm", "inf") == "--train.clip_norm: 'inf' is not a number of at least 0");
  CHECK(refusal("train.lr", "") == "--train.lr: '' is not a number in [0, 10]");
  CHECK(refusal("train.lr", "1e-5x") == "--train.lr: '1e-5x' is not a number in [0, 10]");
  CHECK(refusal("train.batch", "0") == "--train.batch: '0' is not an integer in [1, 32768]");
  CHECK(refusal("train.batch", "2.5") == "--train.batch: '2.5' is not an integer in [1, 32768]");
  CHECK(refusal("train.epochs", "3000000000") ==
        "--train.epochs: '3000000000' is not an integer in [0, 2147483647]");
  CHECK(refusal("train.epochs", "-1") == "--train.epochs: '-1' is not an integer of at least 0");
  CHECK(refusal("model.attention_dropout", "0.99999999") ==
        "--model.attention_dropout: '0.99999999' is not a number in [0, 1)");
  CHECK(refusal("train.seed", "-1") == "--train.seed: '-1' is not an integer of at least 0");
  CHECK(refusal("data.validation_every", "-1") ==
        "--data.validation_every: '-1' is not an integer of at least 0");
  CHECK(refusal("model.dropout", "1") == "--model.dropout: '1' is not a number in [0, 1)");
  CHECK(refusal("model.hidden", "100") == "--model.hidden: '100' is not a multiple of 8");
  CHECK(refusal("model.hidden", "4") == "--model.hidden: '4' is not an integer in [8, 1024]");
  CHECK(refusal("train.precision", "bf61") ==
        "--train.precision: 'bf61' is not one of bf16, fp32, tf32; did you mean 'bf16'?");
  CHECK(refusal("run.device", "toaster") == "--run.device: 'toaster' is not one of auto, cuda, cpu");
  CHECK(refusal("loss.scale", "") == "--loss.scale: '' is not one of mean, keras_fill");
  CHECK(refusal("data.max_tokens", "510") == "--data.max_tokens: '510' is not an integer in [2, 509]");
  CHECK(refusal("data.validation_every", "1") ==
        "data.validation_every = 1: no row would be left to train on; 0: none validates");
  CHECK(refusal("mask.mask", "0.95") == "mask.mask + mask.keep = 1.05 is more than 1");
  CHECK(refusal("data.train", "") == "data.train: missing; name the file of pairs to train on");
}

TEST_CASE("options: what cannot be had together") {
  const TemporaryFolder folder;
  const auto message = [&](const std::vector<Override>& overrides) {
    return message_of<UsageError>([&] { read(folder, "", overrides); });
  };
  CHECK(message({{"data.validation_every", "0"}}).empty());
  CHECK(message({{"data.validation_every", "0"}, {"data.fold", "1"}}) ==
        "data.fold = 1: folds are numbered from 0 to data.validation_every - 1 = 0");
  CHECK(message({{"data.validation_every", "0"}, {"train.patience", "3"}}) ==
        "train.patience = 3: there is no AUC to wait for with data.validation_every = 0");
  CHECK(message({{"train.stage", "pretrain"}, {"train.patience", "3"}}) ==
        "train.patience = 3: there is no AUC to wait for with train.stage = pretrain");
  CHECK(message({{"train.stage", "pretrain"}, {"mask.probability", "0"}}) ==
        "mask.probability = 0: train.stage = pretrain has nothing to learn but masked tokens");
  CHECK(message({{"train.stage", "finetune"}, {"mask.probability", "0"}}).empty());
}

TEST_CASE("options: a list of probabilities") {
  const TemporaryFolder folder;
  const Options o = read(folder, "[mask]\nngram = 0.7, 0.2,0.1\n");
  CHECK(o.mask.ngram == std::vector<double>{0.7, 0.2, 0.1});
  CHECK(config_text(o).find("\nngram = 0.7,0.2,0.1\n") != std::string::npos);
  CHECK(differences(o, read_options(folder.write("saved.ini", config_text(o)))).empty());
  // A sum rounded to 1 is accepted.
  CHECK(read(folder, "", {{"mask.ngram", "0.3333333,0.3333333,0.3333333"}}).mask.ngram.size() == 3);
  CHECK(read(folder, "", {{"mask.ngram", "0,0,0,0,0,0,0,1"}}).mask.ngram.size() == 8);
  CHECK(refusal("mask.ngram", "0.7,0.2") ==
        "--mask.ngram: '0.7,0.2' is not a list whose sum is 1; it is 0.9");
  CHECK(refusal("mask.ngram", "0.7,0.3,") == "--mask.ngram: '' is not a number in [0, 1]");
  CHECK(refusal("mask.ngram", "") == "--mask.ngram: '' is not a number in [0, 1]");
  CHECK(refusal("mask.ngram", "0.7;0.3") == "--mask.ngram: '0.7;0.3' is not a number in [0, 1]");
  CHECK(refusal("mask.ngram", "2,-1") == "--mask.ngram: '2' is not a number in [0, 1]");
  CHECK(refusal("mask.ngram", "0,0,0,0,0,0,0,0,1") ==
        "--mask.ngram: '0,0,0,0,0,0,0,0,1' is not a list of at most 8 numbers");
  CHECK(message_of<UsageError>([&] { read(folder, "[mask]\nprobability = 0.6\nngram = 0.5,0.5\n"); }) ==
        "mask.probability = 0.6: at most 0.5 with spans (mask.ngram), for a token is left out after each");
}

TEST_CASE("options: faults of the INI itself are usage errors with file and line") {
  CHECK(ini_refusal("train = b.tsv\n") == "line 3 repeats 'train' of [data] (first on line 2); keep one");
  CHECK(ini_refusal("what\n") == "line 3: neither [section] nor key = value");
  CHECK(message_of<UsageError>([] { read_options("/none/base.ini"); }) ==
        "/none/base.ini: cannot be opened: No such file or directory");
}

TEST_CASE("options: paths that a saved configuration could not hold are refused at once") {
  CHECK(refusal("data.test", "/a ;b").find("--data.test: '/a ;b': a path with ' ;'") == 0);
  CHECK(refusal("data.test", "/a\nb").find("--data.test: '/a\\x0ab': a path with ' ;'") == 0);
  CHECK(refusal("data.test", "/a ").find("--data.test: '/a ': a path with ' ;'") == 0);
}

TEST_CASE("options: the saved configuration gives back the same options, whatever they are") {
  const TemporaryFolder folder;
  std::vector<Override> overrides;
  for (const OptionInfo& info : option_list()) {  // non-default value for every key
    if (info.type == "PATH")
      overrides.push_back({info.name(), "/some; where/é #" + info.key + "=" + std::string(3000, 'x')});
    else if (info.type == "INTEGER")
      overrides.push_back({info.name(), info.name() == "data.validation_every" ? "17" : "16"});
    else if (info.type == "NUMBER") overrides.push_back({info.name(), "0.30000000000000004"});
    else if (info.type == "NUMBERS") overrides.push_back({info.name(), "0.30000000000000004,0.7"});
    else if (const std::string last = info.type.substr(info.type.rfind('|') + 1); last != info.default_value)
      overrides.push_back({info.name(), last});
    else overrides.push_back({info.name(), info.type.substr(0, info.type.find('|'))});
  }
  const Options options = read(folder, "", overrides);
  const std::string saved = folder.write("config.ini", config_text(options));
  const Options again = read_options(saved);
  CHECK(differences(options, again).empty());
  CHECK(config_text(again) == config_text(options));
  CHECK(again.train.lr == 0.30000000000000004);
  CHECK(again.data.vocab == options.data.vocab);
  CHECK(again.run.directory == options.run.directory);
  // run.{directory, threads, checkpoint_minutes, checkpoint_steps, keep_checkpoints, graphs, gemm_cache, csv,
  // tensorboard, wait_seconds} and profile.{start_step, steps, kernels}
  const size_t may_differ = 13;
  CHECK(differences(Options(), options).size() == option_list().size() - may_differ);

  const Options plain = read(folder, "");
  CHECK(config_text(read_options(folder.write("plain.ini", config_text(plain)))) == config_text(plain));
}

TEST_CASE("options: every key is in the saved configuration with its meaning") {
  const std::string text = config_text(Options());
  std::set<std::string> names;
  for (const OptionInfo& info : option_list()) {
    CAPTURE(info.name());
    CHECK(names.insert(info.name()).second);
    CHECK(text.find("# " + info.meaning + " (" + info.type + ")\n" + info.key + " =") != std::string::npos);
  }
}

TEST_CASE("options: what a resumed run may change") {
  const TemporaryFolder folder;
  const Options saved = read(folder, "");
  const auto changed = [&](const std::string& key, const std::string& value) {
    Options wanted = saved;
    set_option(wanted, {key, value});
    std::string keys;
    for (const Difference& d : differences(saved, wanted))
      keys += d.key + " " + d.saved + " -> " + d.wanted + ";";
    return keys;
  };
  CHECK(changed("train.lr", "3e-5") == "train.lr 1e-05 -> 3e-05;");
  CHECK(changed("train.epochs", "101").empty());
  CHECK(changed("train.epochs", "99") == "train.epochs 100 -> 99;");
  Options falling, longer;
  falling.train.schedule = longer.train.schedule = Schedule::linear;
  longer.train.epochs = 101;
  CHECK(differences(falling, longer).size() == 1);  // learning rates differ from the first step
  CHECK(changed("run.threads", "3").empty());
  CHECK(changed("run.directory", "/elsewhere").empty());
  CHECK(changed("data.train", "/elsewhere/pairs.tsv").empty());
  CHECK(changed("data.train", "/other.tsv") == "data.train " + folder / "pairs.tsv" + " -> /other.tsv;");
  CHECK(changed("train.precision", "fp32") == "train.precision bf16 -> fp32;");
}
