// Exit codes and error message of every program.
#pragma once
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <system_error>

#include "engine/process_group.h"
#include "io/atomic_file.h"
#include "io/text.h"
#include "train/config/options.h"

namespace warpbert {

// Gives closed standard streams a failing descriptor; else the next opened file would receive the output.
inline void occupy_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(stream, F_GETFD) == -1) open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

// A UsageError gives exit code 2, any other exception 1, after "<program>: error: <message>" on stderr.
template <class Body>
int run_main(int argc, char** argv, Body body) {
  const auto report = [&](const char* message, int code) {
    const std::string program = argc > 0 ? std::filesystem::path(argv[0]).filename().string() : "warpbert";
    std::fflush(stdout);  // earlier output precedes the message
    ProcessGroup* const group = ProcessGroup::joined();
    const std::string where = group && !group->is_root() ? group->name() + ": " : "";
    const std::string text =
        io::printable(fmt::format("{}: error: {}{}", program, where, message), "\n") + "\n";
    std::fputs(text.c_str(), stderr);  // never throws
    if (group && group->size() > 1) group->abort(code);
    return code;
  };
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    return report("this build needs a processor with AVX2 and FMA (x86-64-v3); see CMakeLists.txt, -march",
                  1);
#endif
  occupy_standard_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond `ulimit -f` fails with EFBIG instead
  try {
    const int code = body(argc, argv);
    io::flush_standard_output();
    return code;
  } catch (const UsageError& error) {
    return report(error.what(), 2);
  } catch (const std::bad_alloc&) {
    return report("out of memory; free some, or raise the limit (ulimit -v)", 1);
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::resource_unavailable_try_again)
      return report(
          "no thread can be started; there is too little memory, or a limit is too low (ulimit -u, -v)", 1);
    if (std::ferror(stdout))
      return report(io::writing_failure("standard output", error.code().value()).c_str(), 1);
    return report(error.what(), 1);
  } catch (const std::exception& error) {
    return report(error.what(), 1);
  }
}

}  // namespace warpbert
