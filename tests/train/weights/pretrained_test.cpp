#include "train/weights/pretrained.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "io/error.h"
#include "io/npz.h"
#include "io/safetensors.h"
#include "tests/support/captured.h"
#include "tests/support/temporary.h"
#include "train/weights/model_file.h"
#include "train/weights/names.h"
#include "train/weights/resolve.h"

using namespace warpbert;
using namespace warpbert::test;

namespace {

BertConfig small() {
  BertConfig c;
  c.vocabulary = 11, c.layers = 2, c.hidden = 32, c.heads = 2, c.intermediate = 48, c.max_positions = 9;
  return c;
}

// Arrays of a small BERT with distinct values, modified by tests before writing.
struct Arrays {
  struct Array {
    std::string name;
    std::vector<int64_t> shape;
    std::vector<float> values;
  };
  std::vector<Array> arrays;

  Arrays() {
    Bert bert(small());
    float next = 0;
    for (const auto& array : bert.store.named()) {
      arrays.push_back(
          {array.name, {array.shape.begin(), array.shape.end()}, std::vector<float>(array.size)});
      for (float& v : arrays.back().values) v = next++;
    }
  }
  Array& operator[](const std::string& name) {
    return *std::find_if(arrays.begin(), arrays.end(), [&](const Array& a) { return a.name == name; });
  }
  void erase(const std::string& prefix) {
    std::erase_if(arrays, [&](const Array& a) { return a.name.starts_with(prefix); });
  }
  void rename(const std::function<std::string(std::string)>& to) {
    for (Array& a : arrays) a.name = to(a.name);
  }
  std::string write(const std::string& path) const {
    std::vector<io::ArrayView> views;
    for (const Array& a : arrays) views.push_back(io::view(a.name, a.shape, a.values));
    if (path.ends_with(".safetensors")) io::write_safetensors(path, views);
    else io::write_npz(path, views);
    return path;
  }
};

std::string replaced(std::string s, const std::string& from, const std::string& to) {
  if (const size_t at = s.find(from); at != s.npos) s.replace(at, from.size(), to);
  return s;
}

// Model loaded from the file; embedding row t comes from row rows[t].
struct Loaded {
  Device device;
  Bert bert;
  Loaded(Pretrained& file, const std::vector<int>& rows, bool head = true) : bert(config(rows)) {
    bert.store.allocate(device, Precision::fp32, false);
    file.load(bert, rows, head);
  }
  static BertConfig config(const std::vector<int>& rows) {
    BertConfig c = small();
    c.vocabulary = int(rows.size());
    return c;
  }
  std::vector<float> operator[](const std::string& name) {
    for (const auto& array : bert.store.named())
      if (array.name == name) return bert.store.download(bert.store.master_weights(), array);
    return {};
  }
};

std::vector<int> all_rows() {
  std::vector<int> rows(11);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

std::string refusal(const std::string& path) {
  return message_of<io::Error>([&] { Pretrained file(path); });
}

}  // namespace

TEST_CASE("pretrained: shapes, and every array where it belongs, from either format") {
  TemporaryFolder folder;
  const Arrays arrays;
  for (const char* name : {"a.npz", "a.safetensors"}) {
    Pretrained file(arrays.write(folder / name));
    CHECK(file.shape().layers == 2);
    CHECK(file.shape().hidden == 32);
    CHECK(file.shape().intermediate == 48);
    CHECK(file.shape().max_positions == 9);
    CHECK(file.shape().vocabulary == 11);
    CHECK(file.has_head());
    CHECK(!file.vocabulary());
    CHECK(file.ignored().empty());
    Loaded model(file, all_rows());
    for (const auto& array : arrays.arrays) {
      INFO(array.name);
      CHECK(model[array.name] == array.values);
    }
  }
}

TEST_CASE("pretrained: rows of embedding and output bias are chosen together") {
  TemporaryFolder folder;
  Arrays arrays;
  Pretrained file(arrays.write(folder / "a.npz"));
  const std::vector<int> rows = {10, 3, 3, 0, 1, 2, 4, 5};
  Loaded model(file, rows);
  const auto words = model[name::word_embeddings], bias = model[name::output_bias];
  for (size_t t = 0; t < rows.size(); t++) {
    CHECK(bias[t] == arrays[name::output_bias].values[size_t(rows[t])]);
    for (size_t h = 0; h < 32; h++)
      REQUIRE(words[t * 32 + h] == arrays[name::word_embeddings].values[size_t(rows[t]) * 32 + h]);
  }
}

TEST_CASE("pretrained: the hash changes with each value, and with nothing else") {
  TemporaryFolder folder;
  Arrays arrays;
  const uint64_t hash = Pretrained(arrays.write(folder / "a.npz")).hash();
  CHECK(Pretrained(arrays.write(folder / "a.safetensors")).hash() == hash);
  std::reverse(arrays.arrays.begin(), arrays.arrays.end());  // their order in the file
  CHECK(Pretrained(arrays.write(folder / "b.npz")).hash() == hash);
  for (auto& array : arrays.arrays)
    for (const size_t i : {size_t(0), array.values.size() - 1}) {
      INFO(array.name, ", value ", i);
      const float before = array.values[i];
      array.values[i] = before + 0.5f;
      CHECK(Pretrained(arrays.write(folder / "c.npz")).hash() != hash);
      array.values[i] = before;
    }
  std::swap(arrays["bert.encoder.layer.0.output.dense.weight"].values,
            arrays["bert.encoder.layer.1.output.dense.weight"].values);
  CHECK(Pretrained(arrays.write(folder / "d.npz")).hash() != hash);
}

TEST_CASE("pretrained: Google's names and their transposed kernels, told by name alone") {
  TemporaryFolder folder;
  const Arrays ours;
  Arrays google;
  for (auto& a : google.arrays) {
    if (a.name.ends_with("dense.weight") || a.name.find(".self.") != a.name.npos) {
      if (a.shape.size() == 2) {  // [out, in] -> [in, out]
        const auto v = a.values;
        const size_t out = size_t(a.shape[0]), in = size_t(a.shape[1]);
        for (size_t o = 0; o < out; o++)
          for (size_t i = 0; i < in; i++) a.values[i * out + o] = v[o * in + i];
        std::swap(a.shape[0], a.shape[1]);
        a.name = replaced(a.name, ".weight", ".kernel");
      }
    }
    a.name =
        replaced(replaced(a.name, "LayerNorm.weight", "LayerNorm.gamma"), "LayerNorm.bias", "LayerNorm.beta");
    a.name = replaced(replaced(a.name, "_embeddings.weight", "_embeddings"), "layer.", "layer_");
    a.name = replaced(a.name, "cls.predictions.bias", "cls.predictions.output_bias");
    std::replace(a.name.begin(), a.name.end(), '.', '/');
  }
  google.arrays.push_back({"bert/pooler/dense/kernel", {1}, {0}});
  google.arrays.push_back({"bert/embeddings/LayerNorm/beta/adam_m", {1}, {0}});
  Pretrained file(google.write(folder / "google.npz"));
  CHECK(file.ignored().size() == 2);
  CHECK(file.hash() == Pretrained(ours.write(folder / "ours.npz")).hash());
  Loaded model(file, all_rows());
  for (const auto& array : ours.arrays) {
    INFO(array.name);
    CHECK(model[array.name] == array.values);
  }
}

TEST_CASE("pretrained: without `bert.`, with gamma and beta") {
  TemporaryFolder folder;
  Arrays arrays;
  arrays.rename([](std::string n) {
    return replaced(
        replaced(replaced(n, "LayerNorm.weight", "LayerNorm.gamma"), "LayerNorm.bias", "LayerNorm.beta"),
        "bert.", "");
  });
  Pretrained file(arrays.write(folder / "a.npz"));
  Loaded model(file, all_rows());
  CHECK(model["bert.encoder.layer.1.output.LayerNorm.bias"] ==
        Arrays()["bert.encoder.layer.1.output.LayerNorm.bias"].values);
}

TEST_CASE("pretrained: without a head") {
  TemporaryFolder folder;
  Arrays arrays;
  arrays.erase("cls.");
  Pretrained file(arrays.write(folder / "a.npz"));
  CHECK(!file.has_head());
  CHECK(!file.head_looks_untrained());
  Loaded model(file, all_rows(), false);
  CHECK(model["cls.predictions.transform.dense.weight"] == std::vector<float>(32 * 32, 0.f));
  CHECK(model["bert.encoder.layer.0.output.dense.weight"] ==
        Arrays()["bert.encoder.layer.0.output.dense.weight"].values);
}

TEST_CASE("pretrained: a head as it was initialised is noticed") {
  TemporaryFolder folder;
  Arrays arrays;
  CHECK(!Pretrained(arrays.write(folder / "trained.npz")).head_looks_untrained());
  const auto fill = [&](const char* name, float x) {
    std::fill(arrays[name].values.begin(), arrays[name].values.end(), x);
  };
  fill("cls.predictions.transform.LayerNorm.weight", 1);
  fill("cls.predictions.transform.LayerNorm.bias", 0);
  CHECK(!Pretrained(arrays.write(folder / "half.npz")).head_looks_untrained());
  fill("cls.predictions.transform.dense.bias", 0);
  CHECK(Pretrained(arrays.write(folder / "untrained.npz")).head_looks_untrained());
}

TEST_CASE("pretrained: copies of the tied matrix must be copies") {
  TemporaryFolder folder;
  Arrays arrays;
  arrays.arrays.push_back({name::decoder_weight, {11, 32}, arrays[name::word_embeddings].values});
  arrays.arrays.push_back({name::decoder_bias, {11}, arrays[name::output_bias].values});
  Pretrained file(arrays.write(folder / "tied.npz"));
  CHECK(file.ignored() == std::vector<std::string>{name::decoder_bias, name::decoder_weight});
  arrays[name::decoder_weight].values[100] += 1;
  const std::string untied = arrays.write(folder / "untied.npz");
  CHECK(refusal(untied) ==
        untied +
            ": cls.predictions.decoder.weight differs from "
            "bert.embeddings.word_embeddings.weight: this model's output matrix is not its word "
            "embedding, but ours is; io/convert/convert.py --drop-output-matrix uses the embedding for both "
            "(by up "
            "to 1)");
  arrays[name::decoder_weight].shape = {32, 11};
  CHECK(refusal(arrays.write(untied)) ==
        untied + ": cls.predictions.decoder.weight has shape [32, 11], [11, 32] was expected");
  arrays.erase(name::decoder_weight);
  arrays[name::decoder_bias].values[3] += 0.5f;
  CHECK(refusal(arrays.write(untied)) ==
        untied +
            ": cls.predictions.decoder.bias differs from cls.predictions.bias: "
            "they are copies of one array; leave one out (by up to 0.5)");
}

TEST_CASE("pretrained: a value that is not finite is named, in the tied matrix and elsewhere") {
  TemporaryFolder folder;
  const std::string path = folder / "a.npz", dense = "bert.encoder.layer.0.output.dense.weight";
  for (const float bad : {std::nanf(""), -std::numeric_limits<float>::infinity()}) {
    Arrays arrays;
    arrays[dense].values[5] = bad;
    Pretrained file(arrays.write(path));
    CHECK(message_of<io::Error>([&] { Loaded(file, all_rows()); }) ==
          path + ": " + dense + " has a value that is not finite");
    Arrays tied;
    tied[name::word_embeddings].values[5] = bad;
    tied.arrays.push_back({name::decoder_weight, {11, 32}, tied[name::word_embeddings].values});
    CHECK(refusal(tied.write(path)) ==
          path + ": " + name::decoder_weight + " has a value that is not finite");
  }
}

TEST_CASE("pretrained: copies of the tied matrix may be rounded") {
  TemporaryFolder folder;
  const std::string path = folder / "a.safetensors";
  const Arrays arrays;
  const auto values = Arrays()[name::word_embeddings].values;  // 0 to 351
  const auto refused = [&](io::DType type, const void* copy) {
    std::vector<io::ArrayView> views{{name::decoder_weight, type, {11, 32}, copy}};
    for (const auto& a : arrays.arrays) views.push_back(io::view(a.name, a.shape, a.values));
    io::write_safetensors(path, views);
    return refusal(path) != "";
  };
  std::vector<float> copy = values;
  for (float& x : copy) x = std::nextafter(x, 1000.f);
  CHECK(!refused(io::DType::f32, copy.data()));
  copy[300] *= 1 + 2e-6f;
  CHECK(refused(io::DType::f32, copy.data()));
  std::vector<uint16_t> rounded;  // to bfloat16, downwards
  for (const float x : values) rounded.push_back(uint16_t(std::bit_cast<uint32_t>(x) >> 16));
  CHECK(!refused(io::DType::bf16, rounded.data()));
  rounded[300] += 3;
  CHECK(refused(io::DType::bf16, rounded.data()));
}

// ---- What is no BERT --------------------------------------------------------------------------------------

TEST_CASE("pretrained: arrays of a type that is no weight are refused, in either format") {
  TemporaryFolder folder;
  const std::string query = "bert.encoder.layer.0.attention.self.query.weight";
  const auto refused = [&](const std::string& name, io::DType type, const char* file) {
    const std::vector<char> bytes(32 * 32 * 8, 1);
    std::vector<io::ArrayView> views;
    const Arrays arrays;
    for (const auto& a : arrays.arrays)
      views.push_back(a.name == name ? io::ArrayView{name, type, a.shape, bytes.data()}
                                     : io::view(a.name, a.shape, a.values));
    const std::string path = folder / file;
    path.ends_with(".npz") ? io::write_npz(path, views) : io::write_safetensors(path, views);
    return replaced(refusal(path), path + ": " + name + " is ", "");
  };
  using enum io::DType;
  const std::string known = "; weights are float16, bfloat16, float32 or float64";
  for (const char* file : {"a.npz", "a.safetensors"}) {
    for (const io::DType type : {i32, i64, u32, u64, boolean})
      CHECK(refused(query, type, file) == std::string(name_of(type)) + known);
    for (const io::DType type : {u16, i16})
      CHECK(refused(query, type, file) ==
            std::string(name_of(type)) + known + "; if these are the bits of bfloat16, save them as float32");
    for (const io::DType type : {u8, i8})
      CHECK(refused(query, type, file) ==
            std::string(name_of(type)) + known +
                "; a quantized model is not trained, the one it was made of is");
    CHECK(refused(name::output_bias, i32, file) == "int32" + known);
    CHECK(refused(query, f64, file) == "");
    CHECK(refused(query, f16, file) == "");
  }
}

TEST_CASE(
    "pretrained: arrays that change what BERT computes are refused, others are left out with a warning") {
  TemporaryFolder folder;
  const std::string path = folder / "a.npz";
  const auto refused = [&](const std::string& name) {
    Arrays arrays;
    arrays.arrays.push_back({name, {2}, {1, 2}});
    return refusal(arrays.write(path));
  };
  const std::string layer = "bert.encoder.layer.0.attention.self.";
  for (const std::string& name :
       {layer + "distance_embedding.weight", layer + "query.lora_A.weight", layer + "query.weight_scale",
        std::string("bert.embeddings.task_type_embeddings.weight"), std::string("encoder.relative.weight")})
    CHECK(refused(name) == path + ": holds arrays that are no part of BERT: " + name +
                               "; they change what it computes. If the model is a BERT without them, "
                               "io/convert/convert.py --ignore '" +
                               name + "' leaves them out");
  Arrays wrapped;
  wrapped[layer + "query.weight"].name = layer + "query.base_layer.weight";
  CHECK(refusal(wrapped.write(path)).starts_with(path + ": holds arrays that are no part of BERT: " + layer));

  const Captured err(stderr);
  for (const char* name :
       {"bert.pooler.dense.weight", "cls.seq_relationship.bias", "bert.embeddings.position_ids",
        "embeddings.token_type_ids", "global_step", "ema/bert.encoder.x"})
    CHECK(refused(name) == "");
  CHECK(err.text() == "");
  Arrays arrays;
  for (const char* name : {"classifier.weight", "classifier.bias", "a", "b", "c", "bert.adapter.weight"})
    arrays.arrays.push_back({name, {2}, {1, 2}});
  CHECK(Pretrained(arrays.write(path)).ignored().size() == 6);
  CHECK(err.text() ==
        "warning: " + path +
            ": left out, as they are no part of BERT: a, b, bert.adapter.weight, c and 2 more\n");
}

TEST_CASE("pretrained: names that a wrapper has prefixed") {
  TemporaryFolder folder;
  for (const std::string prefix :
       {"module.", "_orig_mod.", "model.", "module._orig_mod.", "model.bert.", "bert.", "student."}) {
    Arrays arrays;
    arrays.rename([&](const std::string& name) { return prefix + name; });
    CAPTURE(prefix);
    Pretrained file(arrays.write(folder / "a.npz"));
    Loaded model(file, all_rows());
    for (const auto& array : Arrays().arrays) CHECK(model[array.name] == array.values);
  }
  Arrays uer;
  uer.rename([](const std::string& name) {
    return replaced(name, "bert.embeddings.word_embeddings", "embedding.word");
  });
  CHECK(refusal(uer.write(folder / "u.npz"))
            .ends_with("; these are UER's names, which io/convert/convert.py converts"));
}

TEST_CASE("pretrained: arrays that training never leaves are counted and named") {
  TemporaryFolder folder;
  const std::string path = folder / "a.npz";
  const Captured err(stderr);
  const auto warned = [&](const std::function<void(Arrays&)>& change) {
    Arrays arrays;
    change(arrays);
    Pretrained file(arrays.write(path));
    const size_t before = err.text().size();
    Loaded model(file, all_rows());
    const std::string text = err.text().substr(before);
    return replaced(replaced(text, "warning: " + path + ": ", ""),
                    "; if a download was resumed, fetch the file again\n", "");
  };
  const auto fill = [](std::vector<float>& v, size_t from, size_t to, float x) {
    std::fill(v.begin() + long(from), v.begin() + long(to), x);
  };
  const std::string dense = "bert.encoder.layer.1.output.dense.weight",
                    gain = "bert.encoder.layer.1.output.LayerNorm.weight",
                    bias = "bert.encoder.layer.1.output.dense.bias",
                    segments = "bert.embeddings.token_type_embeddings.weight";
  CHECK(warned([](Arrays&) {}) == "");
  CHECK(warned([&](Arrays& a) {
          for (const std::string& name : {dense, gain, bias})
            fill(a[name].values, 0, a[name].values.size(), 0);
        }) == "2 of 42 arrays are constant or zero in large part: " + dense + ", " + gain);
  CHECK(warned([&](Arrays& a) { fill(a[dense].values, 0, 32 * 48, 0.5f); }) ==
        "1 of 42 arrays are constant or zero in large part: " + dense);
  CHECK(warned([&](Arrays& a) { fill(a[dense].values, 700, 900, 0); }) ==
        "1 of 42 arrays are constant or zero in large part: " + dense);
  CHECK(warned([&](Arrays& a) { fill(a[bias].values, 0, 32, 3); }) ==
        "1 of 42 arrays are constant or zero in large part: " + bias);
  // As initialised, unused, or pruned here and there: nothing to say.
  CHECK(warned([&](Arrays& a) {
          fill(a[bias].values, 0, 32, 0), fill(a[gain].values, 0, 32, 1), fill(a[segments].values, 32, 64, 0);
          for (size_t i = 0; i < 32 * 48; i += 2) a[dense].values[i] = 0;
        }) == "");
}

TEST_CASE("pretrained: what is missing or of another shape is named") {
  TemporaryFolder folder;
  const std::string path = folder / "a.npz";
  const auto refused = [&](const std::function<void(Arrays&)>& change) {
    Arrays arrays;
    change(arrays);
    const std::string message = refusal(arrays.write(path));
    REQUIRE(message.starts_with(path + ": "));
    return message.substr(path.size() + 2);
  };
  CHECK(refused([](Arrays& a) { a.erase("bert.encoder.layer.0.output.dense.bias"); }) ==
        "a BERT of 2 layers needs an array 'bert.encoder.layer.0.output.dense.bias'; there is none");
  CHECK(refused([](Arrays& a) { a.erase("cls.predictions.bias"); }) ==
        "a BERT of 2 layers needs an array 'cls.predictions.bias'; there is none");
  CHECK(refused([](Arrays& a) {
          a["bert.encoder.layer.1.output.dense.weight"].shape = {48, 32};
        }) == "bert.encoder.layer.1.output.dense.weight has shape [48, 32], [32, 48] was expected");
  CHECK(refused([](Arrays& a) {
          auto& array = a["bert.encoder.layer.1.output.dense.weight"];
          array.name = "bert/encoder/layer_1/output/dense/kernel";
        }) ==
        "bert/encoder/layer_1/output/dense/kernel has shape [48, 32] (transposed), [32, 48] was expected");
  CHECK(refused([](Arrays& a) { a.erase("bert.embeddings.word"); })
            .starts_with("no pretrained BERT: there is no 'bert.embeddings.word_embeddings.weight'; its "
                         "first array is"));
  CHECK(refused([](Arrays& a) {
          a[name::word_embeddings].shape = {11 * 32};
        }).starts_with("no pretrained BERT: no matrix is 'bert.embeddings.word_embeddings.weight'"));
  CHECK(
      refused([](Arrays& a) {
        a.arrays.push_back({"bert.embeddings.LayerNorm.gamma", {32}, std::vector<float>(32)});
      }) ==
      "'bert.embeddings.LayerNorm.weight' and 'bert.embeddings.LayerNorm.gamma' are two names of one array");
  CHECK(refused([](Arrays& a) {
          a["bert.embeddings.token_type_embeddings.weight"].shape = {1, 64};
        }) == "bert.embeddings.token_type_embeddings.weight has shape [1, 64], [2, 32] was expected");
}

TEST_CASE("pretrained: a layer that cannot be is refused, not allocated") {
  TemporaryFolder folder;
  const auto refused = [&](const std::string& number) {
    Arrays arrays;
    arrays.arrays.push_back({"bert.encoder.layer." + number + ".x", {1}, {0}});
    return refusal(arrays.write(folder / "a.npz"));
  };
  for (const std::string number : {"1024", "30000000"})
    CHECK(refused(number) == folder / "a.npz" + ": 'bert.encoder.layer." + number +
                                 ".x': layers are numbered from 0 to 1023 at most");
  CHECK(refused("99999999999999999999").find("are no part of BERT") !=
        std::string::npos);  // not a layer name
}

TEST_CASE("pretrained: an output bias under the decoder's name alone") {
  TemporaryFolder folder;
  Arrays arrays;
  const Arrays original;
  arrays[name::output_bias].name = name::decoder_bias;
  Pretrained file(arrays.write(folder / "a.npz"));
  CHECK(file.ignored().empty());
  Loaded model(file, all_rows());
  for (const auto& array : original.arrays)
    if (array.name == name::output_bias) CHECK(model[name::output_bias] == array.values);
}

TEST_CASE(
    "pretrained: a model of ours keeps its vocabulary, heads and epsilon, and equal models are equal files") {
  TemporaryFolder folder;
  Pretrained source(Arrays().write(folder / "a.npz"));
  Loaded model(source, all_rows());
  const Vocabulary vocabulary(std::vector<int64_t>{70, 5, 1000000000000, 6});
  save_model(folder / "ours.npz", model.bert, vocabulary);
  Pretrained ours(folder / "ours.npz");
  REQUIRE(ours.vocabulary());
  CHECK(ours.vocabulary()->dataset_ids() == vocabulary.dataset_ids());
  Loaded again(ours, all_rows());
  save_model(folder / "again.npz", again.bert, *ours.vocabulary());
  CHECK(contents(folder / "again.npz") == contents(folder / "ours.npz"));

  BertConfig config = small();
  config.layer_norm_epsilon = 1e-5f;
  model.bert.config = config;
  save_model(folder / "ours.npz", model.bert, vocabulary);
  const Pretrained with_config(folder / "ours.npz");
  const ModelOptions options = resolve_model({}, &with_config).model;
  CHECK(options.heads == 2);  // 1 would be a guess
  CHECK(options.layer_norm_epsilon == 1e-5);

  save_model(folder / "wrong.npz", model.bert, Vocabulary(std::vector<int64_t>{1, 2}));
  CHECK(refusal(folder / "wrong.npz") ==
        folder / "wrong.npz" +
            ": vocab/cipher_ids has 2 ids, but the word embedding has 11 rows; 9 were expected");
}

// ---- Files beside the weights -----------------------------------------------------------------------------

TEST_CASE("resolve: shapes from the weights, heads and epsilon from the nearest source") {
  TemporaryFolder folder;
  Arrays arrays;
  Options typed;
  ModelOptions& options = typed.model;
  options.weights = arrays.write(folder / "a.npz");
  options.hidden = 768, options.layers = 12;
  const Pretrained plain(options.weights);
  const auto resolved = [&](const ModelOptions& o, const Pretrained& file) {
    Options all;
    all.model = o;
    return resolve_model(all, &file).model;
  };
  CHECK(resolved(options, plain).hidden == 32);
  CHECK(resolved(options, plain).layers == 2);
  CHECK(resolved(options, plain).intermediate == 48);
  CHECK(resolved(options, plain).max_positions == 9);
  CHECK(resolved(options, plain).heads == 1);  // guessed, with a warning
  CHECK(resolve_model(typed, &plain).warnings ==
        std::vector<std::string>{
            options.weights +
            ": no configuration names the number of heads; hidden/64 = 1 is a guess, and a wrong one makes a "
            "wrong model: set model.heads or model.config"});
  CHECK(resolved(options, plain).layer_norm_epsilon == 1e-12);

  folder.write("config.json", R"({"num_attention_heads": 2, "layer_norm_eps": 1e-5, "hidden_act": "gelu"})");
  CHECK(resolved(options, plain).heads == 2);
  CHECK(resolved(options, plain).layer_norm_epsilon == 1e-5);
  CHECK(resolve_model(typed, &plain).warnings.empty());
  folder.write("bert_config.json", R"({"num_attention_heads": 1})");
  CHECK(resolved(options, plain).heads == 1);
  options.config = folder.write("mine.json", R"({"num_attention_heads": 2})");
  CHECK(resolved(options, plain).heads == 2);
  options.heads = 16;
  CHECK(resolved(options, plain).heads == 16);
  CHECK(resolved(resolved(options, plain), plain).heads == 16);
}

TEST_CASE("resolve: a number of heads that does not fit is refused in its file's name") {
  TemporaryFolder folder;
  const std::string path = folder / "a.npz";
  const auto refused = [&](const std::string& json, ModelOptions options = {}) {
    const std::vector<uint8_t> meta(json.begin(), json.end());
    Arrays arrays;
    std::vector<io::ArrayView> views = {io::view(name::meta, {int64_t(meta.size())}, meta)};
    for (const auto& a : arrays.arrays) views.push_back(io::view(a.name, a.shape, a.values));
    io::write_npz(path, views);
    const Pretrained file(path);
    Options typed;
    typed.model = options;
    return message_of<io::Error>([&] { resolve_model(typed, &file); });
  };
  CHECK(refused(R"({"heads": 5})") == path +
                                          ": __meta__: 5 heads: model.hidden = 32 does not divide by "
                                          "model.heads = 5; if that is the wrong number, set model.heads");
  CHECK(refused(R"({"heads": 4})") ==
        path +
            ": __meta__: 4 heads: model.hidden / model.heads = 32 / 4 = 8: heads of 16, 32, 64 or 128 are "
            "supported; if that is the wrong number, set model.heads");
  CHECK(refused(R"({"heads": 2})") == "");
  ModelOptions options;
  options.heads = 2;
  CHECK(refused(R"({"heads": 5})", options) == "");
}

TEST_CASE("resolve: without weights, hidden/64 heads and 4·hidden") {
  const ModelOptions options = resolve_model({}, nullptr).model;
  CHECK(options.heads == 12);
  CHECK(options.intermediate == 3072);
  CHECK(options.layer_norm_epsilon == 1e-12);
}

TEST_CASE("resolve: a run takes path and vocabulary of the weights, and shards of the run that it resumes") {
  TemporaryFolder folder;
  const std::string weights = Arrays().write(folder / "model.safetensors");
  folder.write("config.json", R"({"num_attention_heads": 2})");
  Options typed;
  typed.model.weights = folder / "";
  typed.data.max_tokens = 6, typed.data.text = true;
  const Pretrained file(typed.model.weights);
  CHECK(message_of<UsageError>([&] { resolve_run(typed, &file); }) ==
        "data.vocab: missing; the folder of " + weights + " has no vocab.txt");
  folder.write("vocab.txt", "a\n");
  const ResolvedOptions resolved = resolve_run(typed, &file);
  CHECK(resolved.model.weights == weights);
  CHECK(resolved.data.vocab == folder / "vocab.txt");
  CHECK(resolved.train.shards == 1);  // one process
  CHECK(resolve_run(typed, &file, 4).train.shards == 4);
  typed.train.shards = 2;
  CHECK(resolve_run(typed, &file, 4).train.shards == 2);
  CHECK(resolve_run(resolved, &file).warnings == resolved.warnings);
}

TEST_CASE("resolve: warnings of options that are not used are returned, not printed") {
  const Captured captured(stderr);
  Options typed;
  typed.train.final_lr = 0.1, typed.data.counts = "counts.json";
  const ResolvedOptions resolved = resolve_run(typed, nullptr);
  CHECK(captured.text() == "");
  REQUIRE(resolved.warnings.size() == 2);
  CHECK(resolved.warnings[0].starts_with("train.final_lr is not used: "));
  CHECK(resolved.warnings[1].starts_with("data.counts is not used: "));
}

TEST_CASE("configuration files: another activation, other positions, other shapes and nonsense are refused") {
  TemporaryFolder folder;
  const Pretrained file(Arrays().write(folder / "a.npz"));
  const auto refused = [&](const char* text) {
    return message_of<io::Error>([&] { read_published_config(text, "config.json", file); });
  };
  CHECK(
      refused(
          R"({"hidden_act": "gelu", "position_embedding_type": "absolute", "num_attention_heads": null})") ==
      "");
  CHECK(refused(R"({"hidden_act": "gelu_python"})") == "");
  CHECK(read_published_config(R"({"hidden_act": "gelu_new"})", "config.json", file).warnings.size() == 1);
  CHECK(refused(R"({"hidden_act": "absolute"})")
            .starts_with("config.json: hidden_act = 'absolute' is not run here"));
  CHECK(refused(R"({"hidden_act": "relu"})") ==
        "config.json: hidden_act = 'relu' is not run here; BERT's erf-GELU and absolute positions are");
  CHECK(refused(R"({"position_embedding_type": "relative_key"})")
            .starts_with("config.json: position_embedding_type"));
  CHECK(
      refused(R"({"model_type": "roberta"})") ==
      "config.json: model_type = 'roberta' is not run here; BERT is; if the model is one, change the entry");
  const std::string encoder = " is not run here; an encoder is, where each word sees all others";
  CHECK(refused(R"({"is_decoder": true})") == "config.json: is_decoder = true" + encoder);
  CHECK(refused(R"({"add_cross_attention": true})") == "config.json: add_cross_attention = true" + encoder);
  CHECK(refused(R"({"tie_word_embeddings": false})") ==
        "config.json: tie_word_embeddings = false is not run here; the word embedding is the output matrix; "
        "io/convert/convert.py --drop-output-matrix makes it so");
  CHECK(refused(R"({"hidden_act": 3})").starts_with("config.json: hidden_act = 3 is not run here"));
  CHECK(refused("\xef\xbb\xbf"
                R"({"model_type": "bert", "is_decoder": false, "tie_word_embeddings": true,
                    "add_cross_attention": null, "hidden_act": null})") == "");
  CHECK(refused("[]") == "config.json: no JSON object");
  CHECK(refused("<!DOCTYPE html>") ==
        "config.json: is a web page (HTML), not the file itself; download it again");
  CHECK(refused("{") == "config.json: no JSON object");
  CHECK(refused(R"({"num_attention_heads": 0})") == "config.json: num_attention_heads is no positive number");
  CHECK(refused(R"({"num_attention_heads": "12"})") ==
        "config.json: num_attention_heads is no positive number");
  CHECK(refused(R"({"num_attention_heads": 2.5})") ==
        "config.json: num_attention_heads = 2.5 is no whole number");
  CHECK(refused(R"({"vocab_size": 0.5})") == "config.json: vocab_size = 0.5 is no whole number");
  CHECK(refused(R"({"layer_norm_eps": 1e-300})") ==
        "config.json: layer_norm_eps = 1e-300 is no epsilon in (0, 1]");  // 0 as a float
  CHECK(refused(R"({"layer_norm_eps": 5})") == "config.json: layer_norm_eps = 5 is no epsilon in (0, 1]");
  CHECK(refused(R"({"layer_norm_eps": 1})") == "");
  CHECK(
      refused(
          R"({"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48, "max_position_embeddings": 9,
                    "vocab_size": 11})") == "");
  for (const auto& [key, size] : {std::pair{"num_hidden_layers", 2},
                                  {"hidden_size", 32},
                                  {"intermediate_size", 48},
                                  {"max_position_embeddings", 9},
                                  {"vocab_size", 11}})
    CHECK(refused(fmt::format(R"({{"{}": 12}})", key).c_str()) ==
          fmt::format(
              "config.json: {} = 12, but {} has {}; it is the configuration of another model, or arrays are "
              "missing",
              key, folder / "a.npz", size));
  const PublishedConfig padded = read_published_config(R"({"vocab_size": 8})", "config.json", file);
  CHECK(padded.vocabulary == 8);
  CHECK(padded.warnings == std::vector<std::string>{"config.json: vocab_size = 8, but " + (folder / "a.npz") +
                                                    " has 11 rows; the last 3 are taken for padding"});
}
