// main() of the fuzz targets for compilers without libFuzzer, and for CI.
//
//   fuzz_ini FOLDER     every file of the folder, then truncated and with flipped bits, the same each time
//   fuzz_ini FILE...    these inputs as they are, to reproduce a finding
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "fuzz.h"

namespace fs = std::filesystem;

namespace {

using Bytes = std::vector<uint8_t>;

Bytes contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) warpbert::fuzz::finding(path.string() + " cannot be opened");
  return {std::istreambuf_iterator<char>(file), {}};
}

void run(const Bytes& input) {
  constexpr unsigned longest = 10;  // seconds
  alarm(longest);
  const Bytes exact(input.begin(), input.end());  // without spare capacity: AddressSanitizer sees overruns
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
  alarm(0);
}

// Truncates the file at `most` places at most, and flips a bit at as many.
size_t run_variants(const Bytes& file, size_t most) {
  const size_t step = file.size() / most + 1;
  size_t runs = 0;
  for (size_t i = 0; i < file.size(); i += step) {
    run(Bytes(file.begin(), file.begin() + long(i)));
    Bytes flipped = file;
    flipped[i] ^= uint8_t(1 << (i / step) % 8);
    run(flipped);
    runs += 2;
  }
  return runs;
}

}  // namespace

int main(int argc, char** argv) {
#ifndef __SANITIZE_ADDRESS__  // which reserves terabytes; it has max_allocation_size_mb
  const rlimit memory{rlim_t(4) << 30, rlim_t(4) << 30};
  setrlimit(RLIMIT_AS, &memory);
#endif
  // Readers warn on stderr; `finding` and sanitizers write there too, so it stays. --help goes to stdout.
  if (!std::freopen("/dev/null", "r", stdin)) return 2;
  std::vector<fs::path> files;
  if (argc == 2 && fs::is_directory(argv[1])) {
    for (const auto& entry : fs::directory_iterator(argv[1])) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    if (files.empty()) warpbert::fuzz::finding(std::string(argv[1]) + " has no files");
    constexpr size_t most_variants = 1000;  // of a target: a second or two under AddressSanitizer
    size_t runs = 0;
    for (const fs::path& path : files) {
      std::fprintf(stderr, "%s\n", path.c_str());
      const Bytes file = contents(path);
      run(file);
      runs += 1 + run_variants(file, most_variants / 2 / files.size() + 1);
    }
    std::fprintf(stderr, "%zu inputs of %zu files\n", runs, files.size());
    return 0;
  }
  for (int i = 1; i < argc; i++) run(contents(argv[i]));
  return argc > 1 ? 0 : 2;
}
