#include "algorithm_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "fnv.h"

namespace warpbert {
namespace {

constexpr const char* inputs[] = {"bf16", "fp32", "tf32"};
constexpr const char* header =
    "# Algorithms of cuBLASLt by product: m n k lda ldb ldc input output transposes alignment microseconds "
    "algorithm\n";

uint64_t checksum(std::string_view text) {
  Fnv<uint64_t> hash;
  hash.add(text);
  return hash.value();
}

std::string line_of(const GemmKey& p, const GemmAlgorithm& choice) {
  std::string line =
      fmt::format("{} {} {} {} {} {} {} {} {}{} {} {:.2f} ", p.m, p.n, p.k, p.lda, p.ldb, p.ldc,
                  inputs[int(p.input)], p.output == DType::bf16 ? "bf16" : "fp32", p.transpose_a ? 't' : 'n',
                  p.transpose_b ? 't' : 'n', p.alignment, choice.microseconds);
  for (const uint64_t word : choice.algorithm) line += fmt::format("{:016x}", word);
  return line + '\n';
}

std::pair<GemmKey, GemmAlgorithm> parse_line(const std::string& line) {
  GemmKey p{};
  GemmAlgorithm choice{};
  std::string input, output, transposes, words;
  std::istringstream(line) >> p.m >> p.n >> p.k >> p.lda >> p.ldb >> p.ldc >> input >> output >> transposes >>
      p.alignment >> choice.microseconds >> words;
  p.input = input == "bf16"   ? GemmKey::Input::bf16
            : input == "tf32" ? GemmKey::Input::tf32
                              : GemmKey::Input::fp32;
  p.output = output == "bf16" ? DType::bf16 : DType::f32;
  p.transpose_a = transposes.starts_with('t'), p.transpose_b = transposes.ends_with('t');
  for (size_t i = 0; i < 8 && words.size() == 128; i++)
    std::from_chars(words.data() + i * 16, words.data() + (i + 1) * 16, choice.algorithm[i], 16);
  if (std::min({p.m, p.n, p.k, p.lda, p.ldb, p.ldc, p.alignment}) < 1 || line_of(p, choice) != line + '\n')
    throw std::runtime_error("not a product and its algorithm");
  return {p, choice};
}

}  // namespace

std::string gemm_cache_text(const GemmCache& cache) {
  std::string text = header;
  size_t count = 0;
  for (const auto& [environment, choices] : cache) {
    text += fmt::format("[{}]\n", environment);
    for (const auto& [product, choice] : choices) text += line_of(product, choice);
    count += choices.size();
  }
  return text + fmt::format("end {} {:016x}\n", count, checksum(text));
}

GemmCache parse_gemm_cache(const std::string& text) {
  GemmCache cache;
  std::map<GemmKey, GemmAlgorithm>* section = nullptr;
  size_t count = 0;
  int number = 0;
  for (size_t begin = 0; begin < text.size();) {
    number++;
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    try {
      if (line.starts_with("end ")) {
        if (text.substr(begin) != fmt::format("end {} {:016x}\n", count, checksum(text.substr(0, begin))))
          throw std::runtime_error("the checksum is of another text");
        return cache;
      }
      if (line.starts_with('[') && line.ends_with(']')) {
        section = &cache[line.substr(1, line.size() - 2)];
      } else if (!line.starts_with('#')) {
        if (!section) throw std::runtime_error("no [environment] before it");
        section->insert(parse_line(line));
        count++;
      }
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(fmt::format("line {}: {}", number, error.what()));
    }
    begin = end + 1;
  }
  throw std::runtime_error(fmt::format("line {}: the file ends early", number + 1));
}

}  // namespace warpbert
