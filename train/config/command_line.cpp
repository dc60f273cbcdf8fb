#include "command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "build_info.h"
#include "io/atomic_file.h"
#include "io/text.h"

namespace warpbert {

CommandLine::CommandLine(std::string program, std::string purpose)
    : program_(std::move(program)), purpose_(std::move(purpose)) {}

static auto stores(std::string& value) {
  return [&value](const std::string& text) { value = text; };
}

static auto appends(std::vector<std::string>& values) {
  return [&values](const std::string& text) { values.push_back(text); };
}

void CommandLine::required(std::string name, std::string type, std::string meaning, std::string& value) {
  add(name, type, meaning, "required", stores(value)).required = true;
}

void CommandLine::repeated(std::string name, std::string type, std::string meaning,
                           std::vector<std::string>& values, bool required) {
  Flag& flag = add(name, type, meaning, required ? "required" : "", appends(values));
  flag.required = required, flag.repeated = true;
}

void CommandLine::arguments(std::string type, std::string meaning, std::vector<std::string>& values,
                            bool required) {
  arguments_ = {"", type, meaning, required ? "required" : "", appends(values)};
  arguments_.required = required;
}

void CommandLine::optional(std::string name, std::string type, std::string meaning, std::string& value) {
  add(name, type, meaning, value, stores(value));
}

void CommandLine::number(std::string name, std::string type, std::string meaning, double& value,
                         double high) {
  add(name, type, meaning, fmt::format("{}", value),
      [name, &value, high](const std::string& text) { value = parse_number(name, text, high); });
}

void CommandLine::toggle(std::string name, std::string meaning, bool& value) {
  add(name, "", meaning, "", {}).toggle = &value;
}

void CommandLine::options(std::initializer_list<std::string_view> names) {
  const auto wanted = [&](const OptionInfo& o) {
    const auto is = [&](std::string_view name) { return name == o.section || name == o.name(); };
    return !names.size() || std::any_of(names.begin(), names.end(), is);
  };
  for (const OptionInfo& o : option_list())
    if (wanted(o))
      add("--" + o.name(), o.type, o.meaning, o.default_value,
          [this, key = o.name()](const std::string& text) {
            overrides_.push_back({key, text});
          })
          .group = o.section;
}

bool CommandLine::parse(int argc, const char* const* argv) {
  if (const std::string_view name = argc ? argv[0] : ""; name.starts_with("warpbert ")) program_ = name;
  CLI::App app;
  app.set_help_flag();  // ours prints the table
  app.allow_extras();
  bool help = false, version = false, list = false;
  app.add_flag("-h,--help", help);
  app.add_flag("--version", version);
  app.add_flag("--list-options", list);
  std::vector<std::vector<std::string>> values(flags_.size());
  for (size_t i = 0; i < flags_.size(); i++) {
    if (flags_[i].toggle) app.add_flag(flags_[i].name, *flags_[i].toggle);
    else app.add_option(flags_[i].name, values[i])->expected(1)->allow_extra_args(false)->take_all();
  }

  // CLI11 takes arguments in reverse, and the word after "--key=" as its value.
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; i++) {
    const std::string argument = argv[i];
    const bool empty = argument.starts_with("--") && argument.find('=') == argument.size() - 1;
    arguments.push_back(empty ? argument.substr(0, argument.size() - 1) : argument);
    if (empty) arguments.push_back("");
  }
  for (const Flag& flag : flags_)
    if (!flag.toggle && !arguments.empty() && arguments.back() == flag.name)
      throw UsageError(fmt::format("{} needs a value: {}", flag.name, flag.type));
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::Error& error) {
    throw UsageError(error.what());
  }
  if (help || version || list) {
    fmt::print("{}", help ? this->help() : version ? build_info() + "\n" : option_names());
    return false;
  }
  for (const std::string& rest : app.remaining()) {
    if (!arguments_.take || (rest.starts_with('-') && rest != "-")) refuse_unknown(rest);
    arguments_.take(rest);
  }

  if (arguments_.required && app.remaining().empty())
    throw UsageError(fmt::format("{} is missing; --help explains it", arguments_.type));

  for (size_t i = 0; i < flags_.size(); i++) {
    const Flag& flag = flags_[i];
    if (values[i].size() > 1 && !flag.repeated)
      throw UsageError(fmt::format("{} is given {} times; keep one", flag.name, values[i].size()));
    if (values[i].empty()) {
      if (flag.required)
        throw UsageError(fmt::format("{} {} is missing; --help explains it", flag.name, flag.type));
      continue;
    }
    for (const std::string& value : values[i]) {
      if (value.starts_with("--"))
        throw UsageError(fmt::format("{} needs a value, not {}", flag.name, io::quote(value)));
      if (flag.group.empty() && value.empty())  // options may be emptied
        throw UsageError(fmt::format("{} needs a value: {}", flag.name, flag.type));
      flag.take(value);
    }
  }
  return true;
}

void CommandLine::refuse_unknown(const std::string& argument) const {
  const std::string name = argument.substr(0, argument.find('='));
  std::vector<std::string> names;
  for (const Flag& flag : flags_) names.push_back(flag.name);
  const auto known = [&](const std::string& flag) {
    return std::find(names.begin(), names.end(), flag) != names.end();
  };
  const std::string bare = name.substr(std::min(name.find_first_not_of('-'), name.size()));
  std::string near = "--" + nearest_key(bare);  // maps --lr to --train.lr
  if (!known(near)) near = io::nearest("--" + bare, names);
  throw UsageError(fmt::format(
      "{} {}; {}", argument.starts_with('-') ? "unknown option" : "unexpected argument", io::quote(name),
      near.empty() ? "--help lists them all" : fmt::format("did you mean '{}'?", near)));
}

// Wraps `text` at `width` bytes; indents all lines but the first.
static std::string wrapped(std::string_view text, size_t width, size_t indent) {
  std::string out;
  while (text.size() > width) {
    const size_t space = text.rfind(' ', width);
    if (space == text.npos) break;
    out += fmt::format("{}\n{:{}}", text.substr(0, space), "", indent);
    text.remove_prefix(space + 1);
  }
  return out.append(text);
}

std::string CommandLine::help() const {
  constexpr size_t name_width = 42, default_width = 10, width = 120;
  std::string text = fmt::format("Usage: {}", program_), group;
  if (arguments_.take) {
    const std::string several = arguments_.type + " ...";
    text += arguments_.required ? " " + several : " [" + several + "]";
  }
  for (const Flag& flag : flags_)
    if (flag.required) text += fmt::format(" {} {}", flag.name, flag.type);
  const bool has_options =
      std::any_of(flags_.begin(), flags_.end(), [](const Flag& f) { return !f.group.empty(); });
  text += fmt::format(" [option ...]\n{}\n\n  {:{}} {:{}} {}\n", purpose_, "option", name_width, "default",
                      default_width, "meaning");

  const auto entry = [&](const std::string& name, const std::string& default_value,
                         const std::string& meaning) {
    constexpr size_t indent = 2 + name_width + 1 + default_width + 1;
    text += fmt::format("  {:{}} {:{}} {}\n", name, name_width, default_value, default_width,
                        wrapped(meaning, width - indent, indent));
  };
  if (arguments_.take) entry(arguments_.type, arguments_.default_value, arguments_.meaning);
  for (const Flag& flag : flags_)
    if (flag.group.empty())
      entry(flag.name + (flag.type.empty() ? "" : " " + flag.type), flag.default_value, flag.meaning);
  entry("-h, --help", "", "print this");
  entry("--version", "", "print which build this is: commit, compiler, CUDA or simulator");
  if (has_options)
    text +=
        "\nIn an INI file: `key = value` under [section]. The command line wins over the INI, the INI over "
        "the default.\n";
  for (const Flag& flag : flags_) {
    if (flag.group.empty()) continue;
    if (flag.group != group) text += fmt::format("\n[{}]\n", group = flag.group);
    entry(flag.name + " " + flag.type, flag.default_value.empty() ? "none" : flag.default_value,
          flag.meaning);
  }
  return text;
}

std::string CommandLine::option_names() const {
  std::string text;
  for (const Flag& flag : flags_) text += fmt::format("{}\t{}\n", flag.name, flag.type);
  return text + "--help\t\n--version\t\n";
}

void refuse_standard_output(const std::string& output) {
  if (io::is_standard_output(output))
    throw UsageError("--output: an archive does not go to standard output; name a file");
}

void refuse_overwriting(const std::string& output, const std::vector<std::string>& inputs) {
  if (output.empty()) return;  // no --output
  std::error_code none;
  if (!std::filesystem::is_regular_file(output, none)) return;
  const auto folder = std::filesystem::absolute(output).parent_path();  // inputs may be folders
  for (const std::string& input : inputs)
    if (std::filesystem::equivalent(output, input, none) || std::filesystem::equivalent(folder, input, none))
      throw UsageError(fmt::format("--output: {} is read too, and would be lost; name another file", output));
}

int64_t parse_integer(const std::string& flag, const std::string& text, int64_t low, int64_t high) {
  const auto value = io::to_number<int64_t>(text);
  if (!value || *value < low || *value > high)
    throw UsageError(fmt::format("{}: {} is not an integer in [{}, {}]", flag, io::quote(text), low, high));
  return *value;
}

double parse_number(const std::string& flag, const std::string& text, double high) {
  const auto value = io::to_number<double>(text);
  if (!value || !(*value >= 0 && *value <= high))
    throw UsageError(fmt::format(
        "{}: {} is not a number {}", flag, io::quote(text),
        high == std::numeric_limits<double>::max() ? "of 0 or more" : fmt::format("in [0, {}]", high)));
  return *value;
}

TrainArguments parse_train_arguments(int argc, const char* const* argv) {
  TrainArguments arguments;
  CommandLine line("train",
                   "Trains BERT on sentence pairs; the same command again resumes an interrupted run.");
  line.required("--config", "FILE.ini", "the options of the run", arguments.config);
  line.toggle("--dry-run", "check the files and the memory, run a few steps, write nothing",
              arguments.dry_run);
  line.integer("--overfit-batch", "STEPS",
               "overfit the first batch in STEPS steps, write nothing; fails unless the losses of masked "
               "tokens and of labels both fall to a tenth of what is reached without looking at the pairs",
               arguments.overfit_steps, 2, 1'000'000);
  line.options();
  arguments.help = !line.parse(argc, argv);
  if (arguments.help) return arguments;
  if (arguments.dry_run && arguments.overfit_steps)
    throw UsageError("--dry-run or --overfit-batch, not both");
  arguments.options = read_options(arguments.config, line.overrides());
  return arguments;
}

}  // namespace warpbert
