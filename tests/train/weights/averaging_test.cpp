#include "train/weights/averaging.h"

#include <doctest/doctest.h>

#include <limits>

#include "io/error.h"
#include "io/npz.h"
#include "tests/support/captured.h"
#include "tests/support/temporary.h"
#include "train/weights/model_file.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

struct Saved {
  Device device{1};
  Bert bert;
  std::string path;
  static BertConfig config(int layers, int vocabulary) {
    BertConfig c;
    c.vocabulary = vocabulary, c.layers = layers, c.hidden = 16, c.heads = 1, c.intermediate = 24,
    c.max_positions = 9;
    return c;
  }
  Saved(const std::string& path, uint64_t seed, std::vector<int64_t> ids = {12, 7, 30000}, int layers = 1)
      : bert(config(layers, token::first_word + int(ids.size()))), path(path) {
    bert.store.allocate(device, Precision::fp32, false);
    initialise(bert, seed);
    save_model(path, bert, Vocabulary(std::move(ids)));
  }
  void spoil(const Vocabulary& vocabulary) {
    const auto array = bert.store.named()[3];
    auto values = bert.store.download(bert.store.master_weights(), array);
    values[1] = std::numeric_limits<float>::infinity();
    bert.store.upload(bert.store.master_weights(), array, values);
    save_model(path, bert, vocabulary);
  }
};

std::string refusal(const std::vector<std::string>& files, const std::string& output) {
  std::string message = message_of<io::Error>([&] { average_models(files, output); });
  CHECK(!std::filesystem::exists(output));
  return message;
}

}  // namespace

TEST_CASE("average: each weight is the mean in double, rounded once, and the vocabulary is kept") {
  TemporaryFolder folder;
  const Saved a(folder / "a.npz", 1), b(folder / "b.npz", 2), c(folder / "c.npz", 3);
  const std::string output = folder / "mean.npz";
  average_models({a.path, b.path, c.path}, output);
  const auto mean = io::open_npz(output), first = io::open_npz(a.path);
  REQUIRE(mean->arrays().size() == first->arrays().size());
  size_t in_float_alone = 0;
  for (const auto& info : a.bert.store.named()) {
    CAPTURE(info.name);
    const auto found = mean->load<float>(info.name);
    std::vector<float> values[3];
    for (size_t k = 0; k < 3; k++)
      values[k] = io::open_npz((k == 0 ? a : k == 1 ? b : c).path)->load<float>(info.name);
    REQUIRE(found.size() == values[0].size());
    for (size_t i = 0; i < found.size(); i++) {
      const float x = values[0][i], y = values[1][i], z = values[2][i];
      CHECK(found[i] == float((double(x) + y + z) / 3));
      in_float_alone += found[i] != (x + y + z) / 3;
    }
  }
  CHECK(in_float_alone > 10);  // float averaging would be detected
  CHECK(mean->load<int64_t>("vocab/cipher_ids") == std::vector<int64_t>{12, 7, 30000});
}

TEST_CASE("average: the mean of a model with itself is the same file") {
  TemporaryFolder folder;
  const Saved a(folder / "a.npz", 1);
  average_models({a.path, a.path, a.path}, folder / "mean.npz");
  CHECK(contents(folder / "mean.npz") == contents(a.path));
}

TEST_CASE("average: models that have no mean are refused, and nothing is written") {
  TemporaryFolder folder;
  const std::string out = folder / "mean.npz";
  Saved a(folder / "a.npz", 1);
  const Saved fewer(folder / "fewer.npz", 2, {12, 7}), other(folder / "other.npz", 2, {12, 8, 30000});
  const Saved deeper(folder / "deeper.npz", 2, {12, 7, 30000}, 2);
  CHECK(refusal({a.path}, out) == "1 models: an average needs two");
  CHECK(refusal({a.path, fewer.path}, out) == fewer.path + ": a vocabulary of 2 ids, but " + a.path +
                                                  " has 3; only models of one vocabulary have a mean");
  CHECK(refusal({a.path, a.path, other.path}, out) ==
        other.path + ": token 8 is id 8, but 7 in " + a.path + "; only models of one vocabulary have a mean");
  CHECK(refusal({a.path, deeper.path}, out) ==
        deeper.path + ": 2 layers, hidden 16, intermediate 24, 9 positions, but " + a.path +
            " has 1 layers, hidden 16, intermediate 24, 9 positions");
  CHECK(refusal({a.path, folder / "absent.npz"}, out).find("absent.npz") != std::string::npos);
  const std::string text = folder.write("text.npz", contents(a.path).substr(0, 900));
  CHECK(refusal({a.path, text}, out).starts_with(text + ": "));
  const Saved bare(folder / "bare.npz", 4);
  std::vector<std::vector<float>> values;
  std::vector<io::ArrayView> arrays;
  for (const auto& array : bare.bert.store.named()) {
    values.push_back(io::open_npz(bare.path)->load<float>(array.name));
    arrays.push_back(io::view(array.name, {array.shape.begin(), array.shape.end()}, values.back()));
  }
  io::write_npz(bare.path, arrays);
  CHECK(refusal({a.path, bare.path}, out) ==
        bare.path + ": has no array 'vocab/cipher_ids'; no run wrote it");
  a.spoil(Vocabulary(std::vector<int64_t>{12, 7, 30000}));
  CHECK(refusal({a.path, a.path}, out) ==
        a.path + ": " + a.bert.store.named()[3].name + " has a value that is not finite");
}

TEST_CASE("average: the judge of train's weights judges here, too") {
  TemporaryFolder folder;
  const std::string out = folder / "mean.npz";
  const Saved a(folder / "a.npz", 1);
  const auto rewritten = [&](const std::string& changed, io::DType type, const void* data) {
    const auto file = io::open_npz(a.path);
    std::vector<std::vector<std::byte>> values;
    std::vector<io::ArrayView> views;
    for (const auto& info : file->arrays()) {
      values.push_back(file->raw(info.name));
      const bool change = info.name == changed;
      views.push_back(
          {info.name, change ? type : info.dtype, info.shape, change ? data : values.back().data()});
    }
    io::write_npz(folder / "b.npz", views);
    return folder / "b.npz";
  };
  const std::vector<float> zeros(16 * 24, 0);
  const std::string name = "bert.encoder.layer.0.output.dense.weight";
  const std::string codes = rewritten(name, io::DType::i8, zeros.data());
  CHECK(refusal({a.path, codes}, out) ==
        codes + ": " + name +
            " is int8; weights are float16, bfloat16, float32 or float64; a quantized model is "
            "not trained, the one it was made of is");
  const test::Captured err(stderr);
  average_models({a.path, rewritten(name, io::DType::f32, zeros.data())}, out);
  CHECK(err.text() == "warning: " + (folder / "b.npz") +
                          ": 1 of 26 arrays are constant or zero in large part: " + name +
                          "; if a download was resumed, fetch the file again\n");
}

TEST_CASE("average: the models that a run kept, by epoch") {
  TemporaryFolder folder;
  const std::string models = folder / "models";
  CHECK(message_of<io::Error>([&] {
          kept_models(folder / "none");
        }).starts_with(folder / "none/models: 0 models; an av"));
  std::filesystem::create_directory(models);
  for (const char* name :
       {"/epoch-0012.npz", "/epoch-0003.npz", "/epoch-0007.npz", "/notes.txt", "/epoch-0009.npz.tmp",
        "/mean.npz", "/epoch-.npz", "/epoch-0001-0002.npz", "/epoch-00010"})
    std::ofstream(models + name) << "x";
  const auto files = kept_models(folder / ".");
  REQUIRE(files.size() == 3);
  CHECK(files[0].ends_with("epoch-0003.npz"));
  CHECK(files[1].ends_with("epoch-0007.npz"));
  CHECK(files[2].ends_with("epoch-0012.npz"));
}
