#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "error.h"
#include "json.h"
#include "safetensors.h"
#include "text.h"

namespace warpbert::io {

namespace fs = std::filesystem;

namespace {

class Sharded : public Archive {
 public:
  Sharded(const std::string& path, const std::map<std::string, std::string>& weight_map) : Archive(path) {
    std::map<std::string, std::set<std::string>> names_of;  // by file
    for (const auto& [name, file] : weight_map) names_of[file].insert(name);
    for (const auto& [file, names] : names_of) add(file, names);
    if (arrays_.empty()) fail("{}: holds no arrays", path_);
  }

 private:
  void add(const std::string& file, const std::set<std::string>& names) {
    const std::string shard = fs::path(path_).parent_path() / file;
    if (!file.ends_with(".safetensors"))
      fail(
          "{}: names {}, which is no .safetensors; io/convert/convert.py {} bert.npz converts PyTorch's "
          "files",
          path_, quote(file), path_);
    if (!fs::exists(shard)) fail("{}: is missing; {} names it", shard, path_);
    shards_.push_back(open_safetensors(shard));
    for (const std::string& name : names)
      if (!shards_.back()->find(name)) fail("{}: lacks '{}', which {} says it holds", shard, name, path_);
    for (const ArrayInfo& array : shards_.back()->arrays()) {
      if (!names.count(array.name)) continue;  // in another shard, or nowhere
      arrays_.push_back(array);
      shard_of_.push_back(shards_.size() - 1);
    }
  }

  void read(size_t index, std::span<std::byte> bytes) override {
    const auto values = shards_[shard_of_[index]]->raw(arrays_[index].name);
    std::copy(values.begin(), values.end(), bytes.begin());
  }

  std::vector<std::unique_ptr<Archive>> shards_;
  std::vector<size_t> shard_of_;  // by array
};

}  // namespace

std::unique_ptr<Archive> open_sharded(const std::string& path) {
  const auto json = parse_json(read_file(path), path);
  if (!json.is_object() || !json.contains("weight_map")) return nullptr;
  std::map<std::string, std::string> files;
  try {
    json["weight_map"].get_to(files);
  } catch (const nlohmann::json::exception&) {
    fail("{}: its weight_map does not map names of arrays to files", path);
  }
  return std::make_unique<Sharded>(path, files);
}

}  // namespace warpbert::io
