// Hugging Face's .safetensors: 8 bytes of header length, a JSON header, then the values.
#pragma once
#include "array.h"

namespace warpbert::io {

std::unique_ptr<Archive> open_safetensors(const std::string& path);

// With the metadata {"format": "pt"}, without which transformers refuses a file. Atomic.
void write_safetensors(const std::string& path, std::span<const ArrayView> arrays);

}  // namespace warpbert::io
