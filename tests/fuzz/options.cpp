// The configuration of a run. Its config.ini gives the same options.
#include "train/config/options.h"

#include <algorithm>

#include "fuzz.h"

using namespace warpbert;
using namespace warpbert::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = write("run.ini", text_of(data, size));
  Options options;
  try {
    options = read_options(path);
  } catch (const UsageError& error) {
    // Options that do not go together may come from the command line too: these errors name an option.
    const std::string_view message = error.what();
    const auto names = [&](const OptionInfo& o) { return message.find(o.name()) != message.npos; };
    const auto& list = option_list();
    require(message.find(path) != message.npos || std::any_of(list.begin(), list.end(), names),
            fmt::format("an error names neither file nor option: {}", message));
    return 0;
  }
  const std::string text = config_text(options);
  const Options again = read_options(write("again.ini", text));
  require(config_text(again) == text, "config.ini gives other options");
  require(differences(options, again).empty(), "options differ from those of their config.ini");
  return 0;
}
