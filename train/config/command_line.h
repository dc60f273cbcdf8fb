// The command lines of all programs: their own flags, and --section.key=value for the options of a run.
#pragma once
#include <initializer_list>
#include <string>
#include <vector>

#include "options.h"

namespace warpbert {

// CommandLine line("predict", "Scores pairs with a trained run.");
// line.required("--run", "DIR", "the run's folder", directory);
// line.options({"predict", "run"});
// if (!line.parse(argc, argv)) return 0;    // --help was asked for and printed
class CommandLine {
 public:
  CommandLine(std::string program, std::string purpose);
  void required(std::string name, std::string type, std::string meaning, std::string& value);
  // May be given more than once; at least once with `required`.
  void repeated(std::string name, std::string type, std::string meaning, std::vector<std::string>& values,
                bool required = true);
  // What stands there without a flag's name; as many as the user likes, at least one with `required`.
  void arguments(std::string type, std::string meaning, std::vector<std::string>& values, bool required = false);
  void optional(std::string name, std::string type, std::string meaning, std::string& value);
  void toggle(std::string name, std::string meaning, bool& value);
  // Accepts --section.key of these sections ("run") and keys ("run.threads"); {}: of every section.
  void options(std::initializer_list<std::string_view> names = {});

  // False if --help or --version was asked for, which then has been printed. Throws UsageError: an unknown flag
  // (nearest named), a repeated flag, a missing value, a missing required flag, an argument too many.
  bool parse(int argc, const char* const* argv);
  const std::vector<Override>& overrides() const { return overrides_; }
  std::string help() const;

 private:
  struct Flag {
    std::string name, type, meaning, default_value;
    std::string group;  // "" for the program's own flags, else the section of an option
    bool required = false;
    bool* toggle = nullptr;
    std::string* value = nullptr;
    std::vector<std::string>* list = nullptr;  // of a flag that may be repeated
  };
  [[noreturn]] void refuse_unknown(const std::string& argument) const;

  std::string program_, purpose_;
  std::vector<Flag> flags_;
  Flag arguments_;  // list = nullptr: there are none
  std::vector<Override> overrides_;
};

// Throws UsageError where --output is standard output, for programs whose results are archives and go with a message.
void refuse_standard_output(const std::string& output);

// Throws UsageError where --output names one of the files that the program reads.
void refuse_overwriting(const std::string& output, const std::vector<std::string>& inputs);

// The value of `flag` as an integer in [low, high]; throws UsageError.
int64_t parse_integer(const std::string& flag, const std::string& text, int64_t low, int64_t high);
// As a number, not negative; throws UsageError.
double parse_number(const std::string& flag, const std::string& text);

// train --config FILE.ini [--dry-run | --overfit-batch STEPS] [--section.key=value …]
struct TrainArguments {
  bool help = false;  // printed; nothing else is filled in
  bool dry_run = false;
  int overfit_steps = 0;  // 0: not asked for
  std::string config;     // the INI's path as given
  Options options;
};
TrainArguments parse_train_arguments(int argc, const char* const* argv);

}  // namespace warpbert
