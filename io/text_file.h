// Text files. gzip, recognised by its first bytes, is unpacked; a UTF-8 BOM is dropped. UTF-16 and other
// kinds of files (file_kind.h) are refused by name.
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace warpbert::io {

class TextFile {
 public:
  // "-" is standard input. Throws Error if the file cannot be opened.
  explicit TextFile(const std::string& path);
  TextFile(const TextFile&) = delete;
  ~TextFile();

  // Waits for bytes and returns those that have arrived; "" at the end. Throws Error for a file that is no
  // text, unreadable, or damaged gzip.
  std::string read();
  // True if read() has something to return within this time.
  bool ready(int milliseconds) const;
  const std::string& name() const { return name_; }
  bool is_gzip() const { return inflater_ != nullptr; }

 private:
  class Inflater;
  std::string receive();
  std::string next();

  std::string name_;
  int descriptor_;
  bool begun_ = false;
  std::string pending_;  // received to recognise gzip
  std::unique_ptr<Inflater> inflater_;
};

// Throws Error also for ^Z at its end.
std::string read_text(const std::string& path);

// `text` without a BOM. Throws Error if it is UTF-16 or of another kind.
std::string_view check_text(std::string_view text, const std::string& name);

inline constexpr const char* ctrl_z = "^Z (byte 0x1a), an end-of-file mark of DOS programs; delete it";

}  // namespace warpbert::io
