#include "weights_file.h"

#include <filesystem>
#include <system_error>

#include "io/error.h"

namespace warpbert {

namespace fs = std::filesystem;

[[noreturn]] static void convert_first(const std::string& path, const char* what) {
  io::fail("{}: {}; io/convert/convert.py {} bert.npz converts it", path, what, path);
}

static std::string find_in_folder(const std::string& folder) {
  for (const char* name : {"model.safetensors", "model.safetensors.index.json"})
    if (const fs::path file = fs::path(folder) / name; fs::exists(file)) return file;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("pytorch_model.bin")) convert_first(folder, "a folder with a PyTorch file");
    if (name.ends_with(".index")) convert_first(folder, "a folder with a TensorFlow checkpoint");
  }
  io::fail("{}: a folder without model.safetensors; name the file of the weights", folder);
}

// bert_model.ckpt.index, .meta and .data-00000-of-00001 are the files of checkpoint bert_model.ckpt.
static bool is_tensorflow(const std::string& path) {
  const fs::path extension = fs::path(path).extension();
  const bool part = extension == ".index" || extension == ".meta" || extension.string().starts_with(".data-");
  std::error_code none;
  return part ? fs::exists(fs::path(path).replace_extension(".index"), none)
              : !fs::exists(path, none) && fs::exists(path + ".index", none);
}

std::string find_weights(const std::string& path) {
  std::error_code none;  // open_archive() says why a file cannot be read
  if (fs::is_directory(path, none)) return find_in_folder(path);
  if (is_tensorflow(path)) convert_first(path, "a TensorFlow checkpoint");
  return path;
}

}  // namespace warpbert
