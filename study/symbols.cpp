#include "symbols.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

#include "io/error.h"

extern char** environ;

namespace warpbert::study {
namespace {

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

File temporary_file() {
  File file(std::tmpfile(), std::fclose);
  if (!file) throw io::Error(fmt::format("no temporary file can be made: {}", std::strerror(errno)));
  return file;
}

// addr2line with stdin and stdout in files: neither side waits for the other.
std::string run_addr2line(const std::string& executable, const std::string& input) {
  const File in = temporary_file(), out = temporary_file();
  std::fwrite(input.data(), 1, input.size(), in.get());
  std::rewind(in.get());
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, fileno(in.get()), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, fileno(out.get()), STDOUT_FILENO);
  std::string words[] = {"addr2line", "-f", "-C", "-e", executable};
  char* arguments[] = {words[0].data(), words[1].data(), words[2].data(),
                       words[3].data(), words[4].data(), nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, "addr2line", &files, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&files);
  int status = 0;
  if (error || waitpid(child, &status, 0) != child || status)
    throw io::Error(
        fmt::format("addr2line, which finds source lines, does not run{}{}; install it (Debian: apt-get "
                    "install binutils)",
                    error ? ": " : "", error ? std::strerror(error) : ""));
  std::string text;
  std::rewind(out.get());
  char piece[65536];
  for (size_t n; (n = std::fread(piece, 1, sizeof piece, out.get())) > 0;) text.append(piece, n);
  return text;
}

}  // namespace

std::vector<CodePlace> find_places(const std::vector<const void*>& addresses) {
  Dl_info self;
  link_map* map = nullptr;  // l_addr: where the program was loaded, less where its file says
  void* const here = reinterpret_cast<void*>(&find_places);
  if (!dladdr1(here, &self, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP))
    throw io::Error("dladdr1 does not find this program");
  char executable[4096];
  const ssize_t length = readlink("/proc/self/exe", executable, sizeof executable);
  if (length <= 0 || length == ssize_t(sizeof executable)) throw io::Error("/proc/self/exe cannot be read");
  std::string input;
  for (const void* a : addresses) input += fmt::format("{:#x}\n", uintptr_t(a) - uintptr_t(map->l_addr));
  std::istringstream lines(run_addr2line(std::string(executable, size_t(length)), input));
  std::vector<CodePlace> places;
  std::string function, place;
  while (std::getline(lines, function) && std::getline(lines, place)) {
    const size_t end = place.find(" (discriminator"), colon = place.rfind(':', end);
    CodePlace p{function, place.substr(0, colon), 0};
    if (colon != std::string::npos) p.line = std::atoi(place.c_str() + colon + 1);
    places.push_back(p);
  }
  if (places.size() != addresses.size()) throw io::Error("addr2line answers with too few lines");
  return places;
}

}  // namespace warpbert::study
