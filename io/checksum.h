// The checksum of a file that this project wrote: CRC-32 (ISO 3309) over all its bytes, in the file itself.
// It finds every flipped bit, and any damage within 32 bits. Files of other writers have none.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace warpbert::io {

// The file holds `mark` at a fixed place, followed by the checksum in this many hexadecimal digits, which
// count as zeros.
constexpr int64_t checksum_digits = 8;
constexpr std::string_view no_checksum = "00000000";

// CRC-32 of some bytes, continued from `crc`.
uint32_t crc32(const void* bytes, size_t count, uint32_t crc = 0);

std::string checksum_text(uint32_t crc);

// Checksum of an open file whose digits begin at `digits`. Throws Error with `path` if it cannot be read.
uint32_t file_checksum(int descriptor, int64_t digits, const std::string& path);

// Returns whether the file has a checksum after the `mark` at `place`; `place` < 0 counts from the end. A
// mark may have one wrong byte, as the damage may be in it. Throws Error if the checksum is wrong.
bool check_checksum(const std::string& path, std::string_view mark, int64_t place);

}  // namespace warpbert::io
