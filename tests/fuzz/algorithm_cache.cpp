// The algorithm cache of a GPU: its text, as it is and with a valid last line.
#include "engine/algorithm_cache.h"

#include "engine/fnv.h"
#include "fuzz.h"
#include "train/step/gemm_files.h"

using namespace warpbert;
using namespace warpbert::fuzz;

namespace {

void check(const std::string& text) {
  GemmCache cache;
  if (!accepts<std::runtime_error>("line ", [&] { cache = parse_gemm_cache(text); })) return;
  const std::string saved = gemm_cache_text(cache);
  const GemmCache again = parse_gemm_cache(saved);
  require(gemm_cache_text(again) == saved, "an algorithm cache that was saved again reads otherwise");
  AlgorithmCache choices;
  const std::string path = write("gemm.txt", saved);
  for (const auto& [environment, chosen] : again) {
    choices.chosen.clear();
    read_algorithm_cache(choices, path, environment);
    require(choices.chosen == chosen, "a file of the algorithm cache reads otherwise than its text");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(text_of(data, size));
  check(text);
  text.resize(text.find("end ") == text.npos ? text.size() : text.find("end "));
  if (!text.empty() && text.back() != '\n') text += '\n';
  size_t count = 0;
  Fnv<uint64_t> hash;
  for (size_t i = 0; i < text.size(); i++) {
    hash.add(uint8_t(text[i]));
    if (i && text[i - 1] != '\n') continue;
    const std::string_view line = std::string_view(text).substr(i, text.find('\n', i) - i);
    count += !line.starts_with('#') && !(line.starts_with('[') && line.ends_with(']'));
  }
  check(text + fmt::format("end {} {:016x}\n", count, hash.value()));

  AlgorithmCache choices;
  read_algorithm_cache(choices, write("gemm.txt", text_of(data, size)), "GPU");  // warns, and throws nothing
  return 0;
}
