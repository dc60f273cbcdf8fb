#include "checksum.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "error.h"

namespace warpbert::io {

uint32_t crc32(const void* bytes, size_t count, uint32_t crc) {
  if (!count) return crc;  // zlib starts anew at a null pointer
  return uint32_t(crc32_z(crc, static_cast<const Bytef*>(bytes), count));
}

std::string checksum_text(uint32_t crc) { return fmt::format("{:08x}", crc); }

// Reads fewer bytes at the end of the file.
static size_t read_at(int descriptor, char* bytes, size_t count, int64_t place, const std::string& path) {
  for (;;) {
    const ssize_t got = pread(descriptor, bytes, count, place);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("{}: cannot be read: {}", path, std::strerror(errno));
    return size_t(got);
  }
}

uint32_t file_checksum(int descriptor, int64_t digits, const std::string& path) {
  std::vector<char> bytes(size_t(1) << 20);
  uint32_t crc = 0;
  int64_t place = 0;
  while (const size_t got = read_at(descriptor, bytes.data(), bytes.size(), place, path)) {
    const int64_t begin = std::max(digits, place),
                  end = std::min(digits + checksum_digits, place + int64_t(got));
    if (begin < end) std::fill(&bytes[size_t(begin - place)], &bytes[0] + (end - place), no_checksum[0]);
    crc = crc32(bytes.data(), got, crc);
    place += int64_t(got);
  }
  return crc;
}

bool check_checksum(const std::string& path, std::string_view mark, int64_t place) {
  struct File {
    int descriptor;
    ~File() { close(descriptor); }
  } const file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat status;
  if (file.descriptor < 0 || fstat(file.descriptor, &status) != 0)
    fail("{}: cannot be opened: {}", path, std::strerror(errno));
  if (place < 0) place += status.st_size;
  const int64_t digits = place + int64_t(mark.size());
  if (place < 0 || digits + checksum_digits > status.st_size) return false;
  std::string found(mark.size() + size_t(checksum_digits), '\0');
  found.resize(read_at(file.descriptor, found.data(), found.size(), place, path));
  if (found.size() != mark.size() + size_t(checksum_digits)) return false;
  size_t wrong = 0;
  for (size_t i = 0; i < mark.size(); i++) wrong += found[i] != mark[i];
  if (wrong > 1) return false;
  if (found.substr(mark.size()) != checksum_text(file_checksum(file.descriptor, digits, path)))
    fail(
        "{}: its bytes do not have the checksum that was written with them; the file is damaged, copy it "
        "again",
        path);
  return true;
}

}  // namespace warpbert::io
