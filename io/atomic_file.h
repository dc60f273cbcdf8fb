// A file that appears whole or not at all: written beside its place, flushed to disk, then renamed. Whatever stood
// there before stays until that moment, through a full disk, an exception or a killed process.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace warpbert::io {

class AtomicFile {
 public:
  // Opens `<path>.tmp`; a left-over of a killed process is overwritten.
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
  std::string path_, temporary_;
  int descriptor_ = -1;
};

// All of it in one call.
void write_file_atomically(const std::string& path, std::string_view text);

}  // namespace warpbert::io
