#include "atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>
#include <system_error>
#include <utility>

#include "checksum.h"
#include "error.h"
#include "text.h"

namespace warpbert::io {

std::string writing_failure(const std::string& path, int error) {
  const char* advice = error == ENOSPC || error == EDQUOT ? "; free some space and start again"
                       : error == EACCES || error == EROFS || error == EPERM
                           ? "; choose a folder you may write to"
                       : error == ENOENT || error == ENOTDIR ? "; its folder does not exist"
                       : error == ESPIPE                     ? "; this needs a file"
                                                             : "";
  return fmt::format("{}: cannot be written: {}{}", path, std::strerror(error), advice);
}

[[noreturn]] static void fail_writing(const std::string& path, int error) {
  throw Error(writing_failure(path, error));
}

// Target of symbolic links; the caller excludes cycles.
static std::string followed(std::filesystem::path path) {
  std::error_code error;
  while (std::filesystem::is_symlink(path, error))
    path = path.parent_path() / std::filesystem::read_symlink(path, error);
  return path;
}

// Descriptor that `path` denotes in this process, else −1. Its link leads to the file a shell has opened,
// perhaps to append to.
static int open_descriptor(std::string_view path) {
  if (path == "-" || path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(folder)) continue;
    if (const auto n = to_number<int>(path.substr(folder.size()))) return *n;
  }
  return -1;
}

// Temporaries: "<name>.warpbert-<8 hexadecimal digits>.tmp", <name> truncated to the limit of 255 bytes.
static constexpr std::string_view mark = ".warpbert-", end_mark = ".tmp";
static constexpr size_t random_digits = 8, most_of_the_name = 200;

// Returns a descriptor, or −1 with errno.
static int create_beside(const std::string& path, std::string& temporary) {
  const size_t name = path.rfind('/') + 1;
  const std::string stem = path.substr(0, name) + path.substr(name, most_of_the_name);
  std::random_device random;
  for (int attempt = 0; attempt < 100; attempt++) {
    temporary = fmt::format("{}{}{:08x}{}", stem, mark, random(), end_mark);
    const int descriptor = open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) flock(descriptor, LOCK_EX | LOCK_NB);  // tells remove_left_overs of a writer
    if (descriptor >= 0 || errno != EEXIST) return descriptor;
  }
  return -1;
}

void remove_left_overs(const std::string& folder) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename();
    const size_t tail = mark.size() + random_digits + end_mark.size();
    if (name.size() <= tail || !name.ends_with(end_mark) ||
        name.compare(name.size() - tail, mark.size(), mark))
      continue;
    const int descriptor = open(entry.path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0) continue;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) std::filesystem::remove(entry.path(), ignored);
    close(descriptor);
  }
}

bool is_standard_output(const std::string& path) { return open_descriptor(path) == STDOUT_FILENO; }

AtomicFile::AtomicFile(std::string path) : path_(path == "-" ? "standard output" : path), place_(path) {
  struct stat status;
  const int found = stat(path.c_str(), &status);
  if (const int there = open_descriptor(path); there >= 0) {
    flush_standard_output();
    descriptor_ = fcntl(there, F_DUPFD_CLOEXEC, 0);
  } else if (found == 0 && !S_ISREG(status.st_mode)) {
    if (S_ISDIR(status.st_mode)) fail_writing(path_, EISDIR);
    descriptor_ = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  } else if (found == 0 || errno != ELOOP) {
    place_ = followed(path);
    descriptor_ = create_beside(place_, temporary_);
    if (descriptor_ >= 0 && found == 0) fchmod(descriptor_, status.st_mode & 07777);  // if allowed
  }
  if (descriptor_ < 0) fail_writing(path_, errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes) {
    const ssize_t written = ::write(descriptor_, next, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_writing(path_, errno);
    next += written, bytes -= size_t(written);
  }
}

void AtomicFile::seek(int64_t offset) {
  if (lseek(descriptor_, offset, SEEK_SET) < 0) fail_writing(path_, errno);
}

int64_t AtomicFile::position() const {
  const off_t place = lseek(descriptor_, 0, SEEK_CUR);
  if (place < 0) fail_writing(path_, errno);
  return place;
}

uint32_t AtomicFile::checksum(int64_t digits) const { return file_checksum(descriptor_, digits, path_); }

void AtomicFile::commit() {
  if (temporary_.empty()) {
    if (close(std::exchange(descriptor_, -1)) != 0) fail_writing(path_, errno);
    return;
  }
  if (fsync(descriptor_) != 0) fail_writing(path_, errno);
  if (std::rename(temporary_.c_str(), place_.c_str()) != 0) fail_writing(path_, errno);
  close(descriptor_);
  descriptor_ = -1;

  const size_t slash = place_.rfind('/');
  sync_folder(slash == place_.npos ? "." : place_.substr(0, slash + 1));
}

void sync_folder(const std::string& folder) {
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  fsync(descriptor);
  close(descriptor);
}

void write_file_atomically(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void flush_standard_output() {
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) fail_writing("standard output", errno ? errno : EIO);
}

}  // namespace warpbert::io
