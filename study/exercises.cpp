#include "exercises.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <vector>

#include "child.h"
#include "io/error.h"

namespace warpbert::study {
namespace {

#include "exercise_build.inc"  // compiler, flags, libraries

namespace fs = std::filesystem;

const fs::path folder = fs::path(WARPBERT_SOURCE) / "study/exercises";

// "01_guard", "02_sectors", ...
std::vector<std::string> exercise_names() {
  std::vector<std::string> names;
  for (const auto& file : fs::directory_iterator(folder))
    if (file.path().extension() == ".cu") names.push_back(file.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> words;
  std::istringstream in(list);
  for (std::string word; std::getline(in, word, ';');)
    if (!word.empty()) words.push_back(word);
  return words;
}

}  // namespace

bool try_exercise(int number, const std::string& file, bool solution, const std::string& output) {
  const std::vector<std::string> names = exercise_names();
  if (number < 1 || size_t(number) > names.size())
    io::fail("there is no exercise {}; there are 1 to {}", number, names.size());
  const std::string& name = names[size_t(number) - 1];
  const fs::path source =
      file.empty() ? folder / (solution ? "solutions" : "") / (name + ".cu") : fs::absolute(file);
  if (!fs::is_regular_file(source))
    io::fail("{}: no such file; copy {} and edit the copy", file,
             fs::relative(folder / (name + ".cu"), WARPBERT_SOURCE).string());
  fmt::print("{}\n", file.empty() ? fs::relative(source, WARPBERT_SOURCE).string() : file);

  const TemporaryFolder temporary;
  std::vector<std::string> compile = {compiler};
  for (const std::string& word : words_of(flags)) compile.push_back(word);
  for (const std::string& word :
       {fmt::format("-DEXERCISE=\"{}\"", source.string()), std::string("-c"),
        (folder / "checks" / (name + ".cpp")).string(), std::string("-o"), temporary / "exercise.o"})
    compile.push_back(word);
  std::vector<std::string> link = {compiler, "-o", temporary / "exercise", temporary / "exercise.o"};
  for (const std::string& word : words_of(libraries)) link.push_back(word);
  std::vector<std::string> start = {temporary / "exercise", name};
  if (!output.empty()) start.push_back(output);

  for (const auto& words : {compile, link, start}) {
    const ProgramResult result = run_program(words, "", "compiles exercises", "g++", true);
    fmt::print("{}", result.output);
    if (result.code) {
      fmt::print("not solved\n");
      return false;
    }
  }
  fmt::print("solved\n");
  return true;
}

}  // namespace warpbert::study
