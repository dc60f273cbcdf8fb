#include "model_file.h"

#include <fmt/format.h>

#include "io/error.h"
#include "io/npz.h"

namespace warpbert {

constexpr const char* cipher_ids_name = "vocab/cipher_ids";

static std::vector<int64_t> shape_of(const ParameterStore::Named& array) {
  return {array.shape.begin(), array.shape.end()};
}

void save_model(const std::string& path, Bert& bert, const Vocabulary& vocabulary) {
  ParameterStore& store = bert.store;
  std::vector<std::vector<float>> values;
  std::vector<io::ArrayView> arrays;
  for (const auto& array : store.named()) {
    values.push_back(store.download(store.masters(), array));
    arrays.push_back(io::view(array.name, shape_of(array), values.back()));
  }
  const auto& ids = vocabulary.cipher_ids();
  arrays.push_back(io::view(cipher_ids_name, {int64_t(ids.size())}, ids));
  io::write_npz(path, arrays);
}

Vocabulary load_vocabulary(const std::string& path) {
  const auto archive = io::open_npz(path);
  try {
    return Vocabulary(archive->load<int64_t>(cipher_ids_name));
  } catch (const std::invalid_argument& error) {
    throw io::Error(fmt::format("{}: {}: {}", path, cipher_ids_name, error.what()));
  }
}

void load_model(const std::string& path, Bert& bert) {
  const auto archive = io::open_npz(path);
  ParameterStore& store = bert.store;
  for (const auto& array : store.named()) {
    const auto& found = archive->at(array.name);
    if (found.shape != shape_of(array))
      throw io::Error(fmt::format("{}: {} has shape {}, {} was expected", path, array.name, io::shape_text(found.shape),
                                  io::shape_text(shape_of(array))));
    store.upload(store.masters(), array, archive->load<float>(array.name));
  }
  store.round_masters();
}

}  // namespace warpbert
