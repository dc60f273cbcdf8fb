// Command lines of all programs: their own flags, and --section.key=value.
#pragma once
#include <functional>
#include <initializer_list>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "options.h"

namespace warpbert {

// CommandLine line("predict", "Scores pairs with a trained run.");
// line.required("--run", "DIR", "the run's folder", directory);
// if (!line.parse(argc, argv)) return 0;
class CommandLine {
 public:
  CommandLine(std::string program, std::string purpose);
  CommandLine(const CommandLine&) = delete;  // its flags refer to it
  void required(std::string name, std::string type, std::string meaning, std::string& value);
  void repeated(std::string name, std::string type, std::string meaning, std::vector<std::string>& values,
                bool required = true);
  // Positional arguments.
  void arguments(std::string type, std::string meaning, std::vector<std::string>& values,
                 bool required = false);
  void optional(std::string name, std::string type, std::string meaning, std::string& value);
  // In [low, high], or [0, high]; `value` holds the default: none if out of range.
  template <class Int>
  void integer(std::string name, std::string type, std::string meaning, Int& value, int64_t low,
               int64_t high);
  void number(std::string name, std::string type, std::string meaning, double& value,
              double high = std::numeric_limits<double>::max());
  void toggle(std::string name, std::string meaning, bool& value);
  // Accepts --section.key for these sections ("run") and keys ("run.threads"); {}: all.
  void options(std::initializer_list<std::string_view> names = {});

  // Returns false after printing --help, --version, or for --list-options name, tab and type of each option.
  // Throws UsageError for an unknown (suggests the nearest), repeated or missing flag, a missing value, or an
  // unexpected argument.
  bool parse(int argc, const char* const* argv);
  const std::vector<Override>& overrides() const { return overrides_; }
  std::string help() const;
  std::string option_names() const;

 private:
  struct Flag {
    std::string name, type, meaning, default_value;
    std::function<void(const std::string&)> take;  // throws UsageError
    std::string group = "";                        // section of an option; "": the program's own
    bool required = false, repeated = false;
    bool* toggle = nullptr;  // instead of `take`
  };
  Flag& add(std::string name, std::string type, std::string meaning, std::string default_value,
            std::function<void(const std::string&)> take) {
    return flags_.emplace_back(Flag{name, type, meaning, default_value, take});
  }
  [[noreturn]] void refuse_unknown(const std::string& argument) const;

  std::string program_, purpose_;
  std::vector<Flag> flags_;
  Flag arguments_;  // without `take`: none accepted
  std::vector<Override> overrides_;
};

// Throws UsageError for standard output, which cannot hold an archive.
void refuse_standard_output(const std::string& output);

// Throws UsageError if `output` is an input.
void refuse_overwriting(const std::string& output, const std::vector<std::string>& inputs);

// Integer in [low, high]; throws UsageError.
int64_t parse_integer(const std::string& flag, const std::string& text, int64_t low, int64_t high);
// Finite number in [0, high]; throws UsageError.
double parse_number(const std::string& flag, const std::string& text,
                    double high = std::numeric_limits<double>::max());

template <class Int>
void CommandLine::integer(std::string name, std::string type, std::string meaning, Int& value, int64_t low,
                          int64_t high) {
  add(name, type, meaning, std::cmp_less(value, low) ? "" : std::to_string(value),
      [name, &value, low, high](const std::string& text) {
        value = Int(parse_integer(name, text, low, high));
      });
}

// train --config FILE.ini [--dry-run | --overfit-batch STEPS] [--section.key=value …]
struct TrainArguments {
  bool help = false;  // printed; other fields are unset
  bool dry_run = false;
  int overfit_steps = 0;  // 0: off
  std::string config;     // as given
  Options options;
};
TrainArguments parse_train_arguments(int argc, const char* const* argv);

}  // namespace warpbert
