#include "algorithm_cache.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "fnv.h"

namespace warpbert {
namespace {

constexpr const char* inputs[] = {"bf16", "fp32", "tf32"};
constexpr const char* header =
    "# Algorithms of cuBLASLt by product: m n k lda ldb ldc input output transposes alignment microseconds "
    "algorithm\n";

uint64_t checksum(std::string_view text) {
  Fnv<uint64_t> hash;
  for (const char c : text) hash.add(uint8_t(c));
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

// Words of a line; rejects any that line_of does not write.
class Words {
 public:
  explicit Words(const std::string& line) {
    std::istringstream stream(line);
    for (std::string word; stream >> word;) words_.push_back(word);
    if (words_.size() != 12)
      throw std::runtime_error(fmt::format("{} words, 12 were expected", words_.size()));
  }
  int integer() {
    const std::string word = next();
    char* end;
    const long value = std::strtol(word.c_str(), &end, 10);
    if (*end || value < 1 || value > 0x7fffffff) refuse(word, "a size");
    return int(value);
  }
  double time() {
    const std::string word = next();
    char* end;
    const double value = std::strtod(word.c_str(), &end);
    if (*end || !(value >= 0 && value < 1e12)) refuse(word, "a time");
    return value;
  }
  int one_of(std::initializer_list<const char*> all) {
    const std::string word = next();
    int i = 0;
    for (const char* candidate : all) {
      if (word == candidate) return i;
      i++;
    }
    refuse(word, fmt::format("one of {}", fmt::join(all, ", ")));
  }
  std::array<uint64_t, 8> algorithm() {
    const std::string word = next();
    if (word.size() != 128 || word.find_first_not_of("0123456789abcdef") != word.npos)
      refuse(word, "64 bytes in hexadecimal digits");
    std::array<uint64_t, 8> words;
    for (size_t i = 0; i < 8; i++) words[i] = std::strtoull(word.substr(i * 16, 16).c_str(), nullptr, 16);
    return words;
  }

 private:
  std::string next() { return words_[at_++]; }
  [[noreturn]] static void refuse(const std::string& word, const std::string& expected) {
    throw std::runtime_error(fmt::format("'{}' is not {}", word, expected));
  }
  std::vector<std::string> words_;
  size_t at_ = 0;
};

std::pair<GemmKey, GemmAlgorithm> parse_line(const std::string& line) {
  Words words(line);
  GemmKey p{};
  for (int* size : {&p.m, &p.n, &p.k, &p.lda, &p.ldb, &p.ldc}) *size = words.integer();
  p.input = GemmKey::Input(words.one_of({"bf16", "fp32", "tf32"}));
  p.output = words.one_of({"fp32", "bf16"}) ? DType::bf16 : DType::f32;
  const int transposes = words.one_of({"nn", "nt", "tn", "tt"});
  p.transpose_a = transposes & 2, p.transpose_b = transposes & 1;
  p.alignment = words.integer();
  GemmAlgorithm choice{};
  choice.microseconds = words.time();
  choice.algorithm = words.algorithm();
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
