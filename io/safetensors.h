// Hugging Face's .safetensors: 8 bytes of header length, a JSON header, the values.
#pragma once
#include "array.h"

namespace warpbert::io {

// Arrays must fill the file without holes or overlaps, as the format demands.
std::unique_ptr<Archive> open_safetensors(const std::string& path);

// Opens the .safetensors that an .index.json names: {"weight_map": {"array": "file", …}}. Null if `path` is
// other JSON. Throws Error naming a missing shard or array.
std::unique_ptr<Archive> open_sharded(const std::string& path);

// Atomic. Adds the metadata {"format": "pt", "crc32": …}: transformers demands the first; for the second see
// checksum.h.
void write_safetensors(const std::string& path, std::span<const ArrayView> arrays);

}  // namespace warpbert::io
