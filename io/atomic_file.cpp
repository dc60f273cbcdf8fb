#include "atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "error.h"

namespace warpbert::io {

[[noreturn]] static void fail_writing(const std::string& path, int error) {
  const char* advice = error == ENOSPC || error == EDQUOT                    ? "; free some space and start again"
                       : error == EACCES || error == EROFS || error == EPERM ? "; choose a folder you may write to"
                       : error == ENOENT || error == ENOTDIR                 ? "; its folder does not exist"
                                                                             : "";
  fail("{}: cannot be written: {}{}", path, std::strerror(error), advice);
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)), temporary_(path_ + ".tmp") {
  struct stat status;
  if (stat(path_.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) fail_writing(path_, EISDIR);
  descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_writing(path_, errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(temporary_.c_str());
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

int64_t AtomicFile::position() const { return lseek(descriptor_, 0, SEEK_CUR); }

void AtomicFile::commit() {
  if (fsync(descriptor_) != 0) fail_writing(path_, errno);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail_writing(path_, errno);
  close(descriptor_);
  descriptor_ = -1;

  // The new name is on disk only once the folder is. Some file systems cannot flush folders;
  // the file is there all the same.
  const size_t slash = path_.rfind('/');
  const std::string folder = slash == path_.npos ? "." : path_.substr(0, slash + 1);
  if (const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); descriptor >= 0) {
    fsync(descriptor);
    close(descriptor);
  }
}

void write_file_atomically(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace warpbert::io
