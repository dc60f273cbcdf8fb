// The command line of train, an argument a line.
#include "train/config/command_line.h"

#include <algorithm>

#include "fuzz.h"

using namespace warpbert;
using namespace warpbert::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string ini = write("base.ini", "[data]\ntrain = train.tsv\n");
  static const std::string config = "--config=" + ini;
  std::vector<std::string> words = {"train", config};
  for (std::string_view rest = text_of(data, size); !rest.empty();) {
    const size_t end = std::min(rest.find_first_of(std::string_view("\n\0", 2)), rest.size());
    words.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  TrainArguments arguments;
  if (!accepts<UsageError>("", [&] { arguments = parse_train_arguments(int(argv.size()), argv.data()); }))
    return 0;
  if (arguments.help) return 0;
  const std::string text = config_text(arguments.options);
  require(config_text(read_options(write("again.ini", text))) == text, "config.ini gives other options");
  return 0;
}
