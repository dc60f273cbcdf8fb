#include "train/step/gemm_files.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/support/captured.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

GemmKey product(int m) {
  return {m, 768, 768, 768, 768, 768, GemmKey::Input::bf16, DType::bf16, false, true, 256};
}
GemmAlgorithm choice(uint64_t word) { return {{word}, 1}; }
using Choices = std::map<GemmKey, GemmAlgorithm>;

}  // namespace

TEST_CASE("gemm files: a run's file wins over the machine's, and both get what is new") {
  const TemporaryFolder folder;
  const std::string run = folder / "gemm.txt", cache = folder / "cache/warpbert/gemm.txt";
  const Captured output(stderr);
  {
    AlgorithmCache choices;
    GemmFiles files(choices, "A", run, cache);
    files.save();
    CHECK(folder.count_files() == 0);
    choices.chosen[product(128)] = choice(1);
    files.save();
  }
  CHECK(parse_gemm_cache(contents(run)) == GemmCache{{"A", {{product(128), choice(1)}}}});
  CHECK(contents(cache) == contents(run));
  {  // another run on machine B with the same cache
    AlgorithmCache choices;
    GemmFiles files(choices, "B", folder / "other.txt", cache);
    CHECK(choices.chosen.empty());
    choices.chosen[product(128)] = choice(2);
    files.save();
  }
  {  // third run, on A, starts from the cache; another process caches 384 and another choice for 256
    AlgorithmCache choices;
    GemmFiles files(choices, "A", folder / "third.txt", cache);
    CHECK(choices.chosen == Choices{{product(128), choice(1)}});
    std::ofstream(cache) << gemm_cache_text({{"A", {{product(256), choice(8)}, {product(384), choice(9)}}}});
    choices.chosen[product(256)] = choice(3);
    files.save();
    CHECK(parse_gemm_cache(contents(folder / "third.txt")).at("A").at(product(256)) == choice(3));
    CHECK(parse_gemm_cache(contents(cache)).at("A") ==
          Choices{{product(128), choice(1)}, {product(256), choice(8)}, {product(384), choice(9)}});
  }
  {  // resumed third run: its own choice wins over the cache
    AlgorithmCache choices;
    GemmFiles(choices, "A", folder / "third.txt", cache);
    CHECK(choices.chosen.at(product(256)) == choice(3));
    CHECK(choices.chosen.at(product(384)) == choice(9));
  }
  CHECK(output.text() == "");
}

TEST_CASE("gemm files: a run that went to another machine finds its algorithms again when it comes back") {
  const TemporaryFolder folder;
  const std::string run = folder / "gemm.txt";
  const Captured output(stderr);
  for (const auto& [machine, i] : {std::pair{"A", 1}, {"B", 2}}) {
    AlgorithmCache choices;
    GemmFiles files(choices, machine, run, "");
    choices.chosen[product(128)] = choice(i);
    files.save();
  }
  CHECK(output.text() == "warning: " + run +
                             ": the run was begun on 'A', this is 'B'; it continues with algorithms that "
                             "may round otherwise\n");
  AlgorithmCache choices;
  GemmFiles(choices, "A", run, "");
  CHECK(choices.chosen == Choices{{product(128), choice(1)}});
}

TEST_CASE("gemm files: damage is ignored with a warning that says what follows") {
  const TemporaryFolder folder;
  const std::string run = folder.write("gemm.txt", "[A]\n"), cache = folder.write("cache.txt", "x");
  AlgorithmCache choices;
  const Captured output(stderr);
  GemmFiles files(choices, "A", run, cache);
  CHECK(choices.chosen.empty());
  CHECK(output.text() ==
        "warning: " + run +
            ": line 2: the file ends early; it is ignored, and the run continues with algorithms that "
            "may round otherwise\nwarning: " +
            cache + ": line 1: no [environment] before it; it is ignored\n");
  choices.chosen[product(128)] = choice(1);
  files.save();
  CHECK(parse_gemm_cache(contents(run)).size() == 1);  // damaged files are replaced
  CHECK(parse_gemm_cache(contents(cache)).size() == 1);
}

TEST_CASE("gemm files: a run resumed in another environment says so") {
  const TemporaryFolder folder;
  const std::string run = folder.write("gemm.txt", gemm_cache_text({{"A", {{product(128), choice(1)}}}}));
  AlgorithmCache choices;
  const Captured output(stderr);
  GemmFiles files(choices, "B", run, "");
  CHECK(choices.chosen.empty());
  CHECK(output.text() ==
        "warning: " + run +
            ": the run was begun on 'A', this is 'B'; it continues with algorithms that may round "
            "otherwise\n");
}

TEST_CASE("gemm files: a cache that cannot be written is no reason to stop, a run's file is") {
  const TemporaryFolder folder;
  const std::string file = folder.write("file", ""), cache = file + "/warpbert/gemm.txt";
  AlgorithmCache choices;
  const Captured output(stderr);
  GemmFiles files(choices, "A", folder / "gemm.txt", cache);
  for (int m : {128, 256}) {
    choices.chosen[product(m)] = choice(1);
    files.save();
  }
  const std::string text = output.text();
  CHECK(text.starts_with("warning: the algorithms of matrix products cannot be kept for other runs: "));
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);  // warns once
  CHECK(parse_gemm_cache(contents(folder / "gemm.txt")).at("A").size() == 2);
  GemmFiles nowhere(choices, "A", file + "/gemm.txt", "");
  choices.chosen[product(384)] = choice(1);
  CHECK_THROWS(nowhere.save());
}

TEST_CASE("gemm files: the cache is in its usual place") {
  const char* home = std::getenv("HOME");
  const std::string before = home ? home : "";
  setenv("XDG_CACHE_HOME", "/c", 1);
  CHECK(default_gemm_cache() == "/c/warpbert/gemm.txt");
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", "/h", 1);
  CHECK(default_gemm_cache() == "/h/.cache/warpbert/gemm.txt");
  unsetenv("HOME");
  CHECK(default_gemm_cache() == "");
  if (home) setenv("HOME", before.c_str(), 1);
}
