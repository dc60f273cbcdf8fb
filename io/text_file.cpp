#include "text_file.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "error.h"
#include "file_kind.h"

namespace warpbert::io {

static constexpr size_t piece = 1 << 17;
static constexpr std::string_view gzip_magic = "\x1f\x8b", bom = "\xef\xbb\xbf";

// Unpacks members back to back, as gzip -d does.
class TextFile::Inflater {
 public:
  explicit Inflater(const std::string& name) : name_(name) {
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) fail("{}: zlib cannot start", name_);
  }
  Inflater(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }

  bool wants_input() const { return input_.empty() && !more_output_; }
  void add(std::string bytes) { input_ = std::move(bytes); }

  std::string unpack() {
    std::string out;
    if (ended_) {
      input_.erase(0, input_.find_first_not_of('\0'));  // padding between members
      if (input_.empty()) return out;
      inflateReset(&stream_);
      ended_ = false;
    }
    out.resize(piece);
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data()), stream_.avail_in = uInt(input_.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data()), stream_.avail_out = uInt(out.size());
    const int code = inflate(&stream_, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) damaged(stream_.msg);
    input_.erase(0, input_.size() - stream_.avail_in);
    out.resize(out.size() - stream_.avail_out);
    ended_ = code == Z_STREAM_END, more_output_ = !ended_ && !stream_.avail_out;
    return out;
  }

  void end() const {
    if (!ended_) damaged("unexpected end of file");
  }

 private:
  [[noreturn]] void damaged(const char* why) const {
    fail("{} is no gzip file, or is damaged ({})", name_, why ? why : "zlib gives no reason");
  }

  const std::string& name_;
  z_stream stream_{};
  std::string input_;
  bool ended_ = false, more_output_ = false;
};

TextFile::TextFile(const std::string& path)
    : name_(path == "-" ? "standard input" : path),
      descriptor_(path == "-" ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) fail("{}: cannot be opened: {}", name_, std::strerror(errno));
}

TextFile::~TextFile() {
  if (descriptor_ != STDIN_FILENO) close(descriptor_);
}

std::string TextFile::receive() {
  if (!pending_.empty()) return std::exchange(pending_, {});
  std::string bytes(piece, '\0');
  ssize_t got;
  do got = ::read(descriptor_, bytes.data(), bytes.size());
  while (got < 0 && errno == EINTR);
  if (got < 0) fail("{}: cannot be read: {}", name_, std::strerror(errno));
  bytes.resize(size_t(got));
  return bytes;
}

std::string TextFile::next() {
  if (!inflater_) return receive();
  for (;;) {
    if (inflater_->wants_input()) {
      std::string bytes = receive();
      if (bytes.empty()) return inflater_->end(), bytes;
      inflater_->add(std::move(bytes));
    }
    if (std::string text = inflater_->unpack(); !text.empty()) return text;
  }
}

bool TextFile::ready(int milliseconds) const {
  if (!pending_.empty() || (inflater_ && !inflater_->wants_input())) return true;
  pollfd wanted{descriptor_, POLLIN, 0};
  int ready;
  do ready = poll(&wanted, 1, milliseconds);
  while (ready < 0 && errno == EINTR);
  return ready != 0;  // an error is read()'s to report
}

std::string TextFile::read() {
  if (std::exchange(begun_, true)) return next();
  const auto gather = [&](auto next, auto enough) {
    std::string bytes;
    while (!enough(bytes)) {
      const std::string more = next();
      if (more.empty()) break;
      bytes += more;
    }
    return bytes;
  };
  pending_ = gather([&] { return receive(); }, [](auto& bytes) { return bytes.size() >= gzip_magic.size(); });
  if (pending_.starts_with(gzip_magic)) inflater_ = std::make_unique<Inflater>(name_);
  const std::string text =
      gather([&] { return next(); },
             [](auto& bytes) { return bytes.size() >= file_kind_bytes || bytes.find('\n') != bytes.npos; });
  return std::string(check_text(text, name_));
}

std::string read_text(const std::string& path) {
  TextFile file(path);
  std::string text;
  for (std::string more = file.read(); !more.empty(); more = file.read()) text += more;
  const size_t last = text.find_last_not_of(" \t\r\n");
  if (last != text.npos && text[last] == '\x1a')
    fail("{}: line {}: {}", file.name(), 1 + std::count(text.begin(), text.begin() + long(last), '\n'),
         ctrl_z);
  return text;
}

// UTF-16 without a BOM: two characters of ASCII.
static bool is_bare_utf16(std::string_view text) {
  const auto ascii_at = [&](size_t i) { return text[i] && text[i + 2] && !text[1 - i] && !text[3 - i]; };
  return text.size() >= 4 && (ascii_at(0) || ascii_at(1));
}

std::string_view check_text(std::string_view text, const std::string& name) {
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff") || is_bare_utf16(text))
    fail("{}: is UTF-16; save it as UTF-8 or plain ASCII", name);
  const std::string kind = foreign_kind(text.substr(0, file_kind_bytes));
  // A first row about HTML is no web page.
  const bool row = text.starts_with('<') && text.substr(0, text.find('\n')).find('\t') != text.npos;
  if (!kind.empty() && !row) fail("{}: is {}", name, kind);
  if (text.starts_with(bom)) text.remove_prefix(bom.size());
  return text;
}

}  // namespace warpbert::io
