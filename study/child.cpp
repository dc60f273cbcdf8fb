#include "child.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include "io/error.h"

extern char** environ;

namespace warpbert::study {
namespace {

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

File temporary_file() {
  File file(std::tmpfile(), std::fclose);
  if (!file) io::fail("no temporary file can be made: {}", std::strerror(errno));
  return file;
}

std::string contents(FILE* file) {
  std::string text;
  std::rewind(file);
  char piece[65536];
  for (size_t n; (n = std::fread(piece, 1, sizeof piece, file)) > 0;) text.append(piece, n);
  return text;
}

}  // namespace

// Uses files: neither side waits for the other.
ProgramResult run_program(const std::vector<std::string>& words, const std::string& input,
                          const std::string& purpose, const std::string& package, bool errors) {
  const File in = temporary_file(), out = temporary_file();
  std::fwrite(input.data(), 1, input.size(), in.get());
  std::rewind(in.get());
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, fileno(in.get()), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, fileno(out.get()), STDOUT_FILENO);
  if (errors) posix_spawn_file_actions_adddup2(&files, fileno(out.get()), STDERR_FILENO);
  std::vector<std::string> copies = words;
  std::vector<char*> arguments;
  for (std::string& word : copies) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawnp(&child, arguments[0], &files, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  int status = 0;
  if (error || waitpid(child, &status, 0) != child || (status && !errors))
    io::fail("{}, which {}, does not run{}{}; install it (Debian: apt-get install {})", words[0], purpose,
             error ? ": " : "", error ? std::strerror(error) : "", package);
  const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return {code, contents(out.get())};
}

std::string this_executable() {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0 || length == ssize_t(sizeof path)) io::fail("/proc/self/exe cannot be read");
  return {path, size_t(length)};
}

TemporaryFolder::TemporaryFolder()
    : path_((std::filesystem::temp_directory_path() / "study-XXXXXX").string()) {
  if (!mkdtemp(path_.data())) io::fail("{}: no folder can be made there: {}", path_, std::strerror(errno));
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace warpbert::study
