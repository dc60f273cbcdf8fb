// File that appears whole or not at all: written under a random name beside it, flushed, renamed. Symbolic
// links and the mode of a replaced file stay. Devices and pipes are written directly.
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
  ~AtomicFile();  // removes the temporary unless committed

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void seek(int64_t offset);
  int64_t position() const;

  // False if written directly: it may be a pipe.
  bool is_readable() const { return !temporary_.empty(); }
  // As file_checksum() (checksum.h).
  uint32_t checksum(int64_t digits) const;

  void commit();  // flushes, renames, flushes the folder

 private:
  std::string path_;
  std::string place_;      // target of the rename
  std::string temporary_;  // "": written directly
  int descriptor_ = -1;
};

// Removes temporaries that killed processes left; those of living writers are locked.
void remove_left_overs(const std::string& folder);

// Makes names in a folder durable, if its file system can.
void sync_folder(const std::string& folder);

// "<path>: cannot be written: <error, an errno>; <remedy>"
std::string writing_failure(const std::string& path, int error);

void write_file_atomically(const std::string& path, std::string_view text);

bool is_standard_output(const std::string& path);  // "-", or a system name for it

// Throws Error on failure, such as a full disk.
void flush_standard_output();

}  // namespace warpbert::io
