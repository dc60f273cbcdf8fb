// Checksum of a file that this project wrote: CRC-32 (ISO 3309) over all its bytes, in the file itself.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace warpbert::io {

// The checksum follows a `mark` at a fixed place, in hexadecimal digits that count as zeros.
constexpr int64_t checksum_digits = 8;
constexpr std::string_view no_checksum = "00000000";

// Continues from `crc`.
uint32_t crc32(const void* bytes, size_t count, uint32_t crc = 0);

std::string checksum_text(uint32_t crc);

// The digits begin at offset `digits`. Throws Error with `path` if the file cannot be read.
uint32_t file_checksum(int descriptor, int64_t digits, const std::string& path);

// Returns whether the file has a checksum after `mark` at `place` (< 0: from the end). A mark may have one
// wrong byte. Throws Error if the checksum is wrong.
bool check_checksum(const std::string& path, std::string_view mark, int64_t place);

}  // namespace warpbert::io
