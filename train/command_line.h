// The command lines of all programs: their own flags, and --section.key=value for the options of a run.
#pragma once
#include <functional>
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
  void optional(std::string name, std::string type, std::string meaning, std::string& value);
  void toggle(std::string name, std::string meaning, bool& value);
  void options(std::initializer_list<std::string_view> sections = {});  // accepts --section.key; {} = every section

  // False if --help was asked for, which then has been printed. Throws UsageError: an unknown flag (nearest named), a
  // repeated flag, a missing value, a missing required flag, an argument too many.
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
  };
  [[noreturn]] void refuse_unknown(const std::string& argument) const;

  std::string program_, purpose_;
  std::vector<Flag> flags_;
  std::vector<Override> overrides_;
};

// train --config FILE.ini [--dry-run] [--section.key=value …]
struct TrainArguments {
  bool help = false;  // printed; nothing else is filled in
  bool dry_run = false;
  std::string config;  // the INI's path as given
  Options options;
};
TrainArguments parse_train_arguments(int argc, const char* const* argv);

}  // namespace warpbert
