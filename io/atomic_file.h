// A file that appears whole or not at all: written under a new, random name beside it, flushed, renamed.
// Until then the old file survives a full disk, an exception or a killed process. Symbolic links stay, their
// target is replaced; the mode of a replaced file stays. Devices and pipes are written directly.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace warpbert::io {

class AtomicFile {
 public:
  // "-" is standard output; /dev/stdout and /dev/fd/N are this process's open descriptors.
  explicit AtomicFile(std::string path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();  // without commit(): removes the temporary

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void seek(int64_t offset);  // sets the position of the next write
  int64_t position() const;

  // False for what is written directly; it may be a pipe.
  bool is_readable() const { return !temporary_.empty(); }
  // file_checksum() (checksum.h) of what was written.
  uint32_t checksum(int64_t digits) const;

  void commit();  // flushes, renames, flushes the folder

 private:
  std::string path_;       // for messages
  std::string place_;      // target of the rename
  std::string temporary_;  // "": written directly
  int descriptor_ = -1;
};

// Removes what killed processes left of AtomicFiles in `folder`; those of living writers are locked and stay.
void remove_left_overs(const std::string& folder);

// Makes names in a folder durable, as far as its file system can.
void sync_folder(const std::string& folder);

// "<path>: cannot be written: <error, an errno>; <remedy>"
std::string writing_failure(const std::string& path, int error);

void write_file_atomically(const std::string& path, std::string_view text);

bool is_standard_output(const std::string& path);  // "-", or a system name for it

// Flushes stdout. Throws Error on failure: the disk is full, say.
void flush_standard_output();

}  // namespace warpbert::io
