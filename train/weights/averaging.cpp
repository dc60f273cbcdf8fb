#include "averaging.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

#include "io/error.h"
#include "io/npz.h"
#include "names.h"
#include "pretrained.h"

namespace warpbert {

namespace fs = std::filesystem;

// Matches epoch-0007.npz, not a mean beside them.
static bool is_of_epoch(const std::string& name) {
  constexpr std::string_view prefix = "epoch-", suffix = ".npz";
  return name.starts_with(prefix) && name.size() >= prefix.size() + 4 + suffix.size() &&
         name.find_first_not_of("0123456789", prefix.size()) == name.size() - suffix.size() &&
         name.ends_with(suffix);
}

std::vector<std::string> kept_models(const std::string& run) {
  const std::string folder = run + "/models";
  std::vector<std::string> files;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (is_of_epoch(entry.path().filename())) files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  if (files.size() < 2)
    io::fail("{}: {} models; an average needs two: train with run.keep_best = 2 or more, or name the files",
             folder, files.size());
  return files;
}

static std::unique_ptr<Pretrained> open_model(const std::string& path) {
  auto file = std::make_unique<Pretrained>(path);
  if (!file->vocabulary()) io::fail("{}: has no array 'vocab/cipher_ids'; no run wrote it", path);
  if (!file->has_head()) io::fail("{}: has no masked-language head", path);
  return file;
}

static void check_alike(const Pretrained& a, const Pretrained& b) {
  const auto describe = [](const BertConfig& c) {
    return fmt::format("{} layers, hidden {}, intermediate {}, {} positions", c.layers, c.hidden,
                       c.intermediate, c.max_positions);
  };
  const std::string one = describe(a.shape()), other = describe(b.shape());
  if (one != other) io::fail("{}: {}, but {} has {}", b.path(), other, a.path(), one);
  if (a.meta() != b.meta())
    io::fail("{}: __meta__ is {}, but {} has {}", b.path(), b.meta(), a.path(), a.meta());
  const auto &ids = a.vocabulary()->dataset_ids(), &others = b.vocabulary()->dataset_ids();
  if (*a.vocabulary() == *b.vocabulary()) return;
  if (ids == others)
    io::fail("{}: not the words of {}; only models of one vocabulary have a mean", b.path(), a.path());
  if (ids.size() != others.size())
    io::fail("{}: a vocabulary of {} ids, but {} has {}; only models of one vocabulary have a mean", b.path(),
             others.size(), a.path(), ids.size());
  const size_t i = size_t(std::mismatch(ids.begin(), ids.end(), others.begin()).first - ids.begin());
  io::fail("{}: token {} is id {}, but {} in {}; only models of one vocabulary have a mean", b.path(),
           i + token::first_word, others[i], ids[i], a.path());
}

void average_models(const std::vector<std::string>& files, const std::string& output) {
  if (files.size() < 2) io::fail("{} models: an average needs two", files.size());
  std::vector<std::unique_ptr<Pretrained>> models;
  for (const std::string& file : files) {
    models.push_back(open_model(file));
    check_alike(*models.front(), *models.back());
  }
  const Bert shape(models[0]->shape());  // not allocated; names and shapes in file order
  const auto arrays = shape.store.named();
  std::vector<std::vector<float>> means;
  std::vector<io::ArrayView> views;
  means.reserve(arrays.size());
  for (const auto& array : arrays) {
    std::vector<double> sum(array.size, 0);
    for (const auto& model : models) {
      const std::vector<float> values = model->values(array.name);
      for (size_t i = 0; i < sum.size(); i++) sum[i] += values[i];
    }
    std::vector<float>& mean = means.emplace_back(sum.size());
    for (size_t i = 0; i < sum.size(); i++) mean[i] = float(sum[i] / double(models.size()));
    views.push_back(io::view(array.name, {array.shape.begin(), array.shape.end()}, mean));
  }
  for (const auto& model : models) model->warn_of_blanks();
  const VocabularyArrays words(*models[0]->vocabulary());
  for (auto& view : words.views()) views.push_back(std::move(view));
  const std::string& meta = models[0]->meta();
  const std::vector<uint8_t> bytes(meta.begin(), meta.end());
  views.push_back(io::view(name::meta, {int64_t(bytes.size())}, bytes));
  io::write_npz(output, views);
}

}  // namespace warpbert
