// Hugging Face's .safetensors: 8 bytes of header length, a JSON header, the values.
#pragma once
#include "array.h"

namespace warpbert::io {

std::unique_ptr<Archive> open_safetensors(const std::string& path);

// Atomic. Adds the metadata {"format": "pt"}, which transformers demands.
void write_safetensors(const std::string& path, std::span<const ArrayView> arrays);

}  // namespace warpbert::io
