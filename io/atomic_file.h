// A file that appears whole or not at all: written beside its place, flushed to disk, then renamed. Whatever stood
// there before stays until that moment, through a full disk, an exception or a killed process. A symbolic link stays:
// the file it names is the one that appears. What is no file (a device, a pipe) cannot be replaced, and is written to.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace warpbert::io {

class AtomicFile {
 public:
  // Opens `<path>.tmp`; a left-over of a killed process is overwritten. "-" is standard output; /dev/stdout and
  // /dev/fd/N are what the process has open there, wherever that leads.
  explicit AtomicFile(std::string path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();  // without commit(): removes the temporary file

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void seek(int64_t offset);  // where the next write goes
  int64_t position() const;

  void commit();  // flush, rename, flush the folder: from here on it is there

 private:
  std::string path_;       // for messages
  std::string place_;      // where the file appears
  std::string temporary_;  // "": written straight to its place
  int descriptor_ = -1;
};

// All of it in one call.
void write_file_atomically(const std::string& path, std::string_view text);

bool is_standard_output(const std::string& path);  // "-", or a name of the system's for it

// What has reached stdout so far is written out. Throws Error where it cannot be: the disk is full, say.
void flush_standard_output();

}  // namespace warpbert::io
