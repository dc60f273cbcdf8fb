// warpbert COMMAND [argument ...]. Under a command's name (train, predict, …) the program is that command.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "io/text.h"
#include "main.h"
#include "programs.h"
#include "train/config/build_info.h"
#include "train/config/options.h"

using namespace warpbert;

const std::vector<Command>& warpbert::commands() {
  static const std::vector<Command> all = {
      {"train", "train BERT on sentence pairs, or resume an interrupted run", train_main},
      {"predict", "score pairs with trained models", predict_main},
      {"eval", "measure trained models on labelled pairs, with intervals", eval_main},
      {"report", "compare runs on one HTML page", report_main},
      {"average", "average the weights of several models", average_main},
      {"export", "write a model as a folder for transformers", export_main},
      {"inspect", "write losses, logits and gradients of given batches", inspect_main},
      {"count-tokens", "count the tokens of a corpus, for data.counts", count_tokens_main},
      {"completion", "print a script for bash or zsh that completes options", completion_main},
  };
  return all;
}

namespace {

// Accepts _ for -.
const Command* find(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  const auto is = [&](const Command& c) { return c.name == name; };
  const auto found = std::find_if(commands().begin(), commands().end(), is);
  return found == commands().end() ? nullptr : &*found;
}

std::string help() {
  std::string text = "Usage: warpbert COMMAND [argument ...]\nTrains BERT on pairs of short texts.\n\n";
  for (const Command& c : commands()) text += fmt::format("  {:14}{}\n", c.name, c.purpose);
  return text +
         "\n  -h, --help    print this; after a command, its own help\n  --version     print which build "
         "this is\n";
}

int describe(int argc, char** argv) {
  const std::string word = argc > 1 ? argv[1] : "--help";
  if (word == "--version") return fmt::print("{}\n", build_info()), 0;
  if (word == "--help" || word == "-h") return fmt::print("{}", help()), argc > 1 ? 0 : 2;
  std::vector<std::string> names;
  for (const Command& c : commands()) names.push_back(c.name);
  const std::string near = io::nearest(word, names);
  throw UsageError(fmt::format("{} is not a command; {}", io::quote(word),
                               near.empty() ? "--help lists them" : fmt::format("did you mean '{}'?", near)));
}

}  // namespace

int main(int argc, char** argv) {
  if (const Command* command = argc ? find(std::filesystem::path(argv[0]).filename()) : nullptr)
    return run_main(argc, argv, command->main);
  const Command* command = argc > 1 ? find(argv[1]) : nullptr;
  if (!command) return run_main(argc, argv, describe);
  std::string name = "warpbert " + command->name;
  std::vector<char*> arguments(argv + 1, argv + argc);
  arguments[0] = name.data();
  arguments.push_back(nullptr);
  return run_main(argc - 1, arguments.data(), command->main);
}
