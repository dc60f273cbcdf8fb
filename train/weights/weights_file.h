// The file of model.weights.
#pragma once
#include <string>

namespace warpbert {

// Returns `path` itself, or in a Hugging Face folder its model.safetensors (or the index of several). Throws
// io::Error naming the command that converts a TensorFlow checkpoint or a folder of PyTorch files.
std::string find_weights(const std::string& path);

}  // namespace warpbert
