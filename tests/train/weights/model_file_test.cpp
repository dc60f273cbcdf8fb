#include "train/weights/model_file.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/error.h"
#include "io/safetensors.h"
#include "tests/support/temporary.h"
#include "train/weights/names.h"

using namespace warpbert;
using namespace warpbert::test;

TEST_CASE("export: what transformers needs, with the model's values to the last bit") {
  TemporaryFolder folder;
  BertConfig c;
  c.vocabulary = 10, c.layers = 1, c.hidden = 32, c.heads = 2, c.intermediate = 48, c.max_positions = 9;
  c.dropout = 0.1f, c.layer_norm_epsilon = 1e-12f;
  Device device;
  Bert bert(c);
  bert.store.allocate(device, Precision::bf16, false);  // exports master weights, not bf16 copies
  initialise(bert, 3);
  const std::string hf = folder / "new" + "/hf";
  export_model(hf, bert, Vocabulary(std::vector<int64_t>{12, 7, 30000}), {});

  const auto file = io::open_safetensors(hf + "/model.safetensors");
  CHECK(file->arrays().size() == 3 + 2 + 16 + 5);
  for (const auto& array : bert.store.named()) {
    INFO(array.name);
    std::vector<float> expected = bert.store.download(bert.store.master_weights(), array);
    if (array.name == name::segment_embeddings) {  // the untrained row 1 becomes a copy of row 0
      CHECK(expected[0] != expected[32]);
      std::copy_n(expected.begin(), 32, expected.begin() + 32);
    }
    CHECK(file->load<float>(array.name) == expected);
  }
  CHECK(contents(hf + "/vocab.txt") == "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[NO]\n[YES]\n12\n7\n30000\n");
  const std::string text = contents(hf + "/config.json");
  CHECK(text.find("\"layer_norm_eps\": 1e-12,") != text.npos);
  CHECK(text.find("\"hidden_dropout_prob\": 0.1,") != text.npos);
  const auto json = nlohmann::json::parse(text);
  CHECK(json["vocab_size"] == 10);
  CHECK(json["num_attention_heads"] == 2);
  CHECK(json["intermediate_size"] == 48);
  CHECK(json["max_position_embeddings"] == 9);
  CHECK(json["hidden_act"] == "gelu");
}

TEST_CASE("export: replaces what it wrote, and no one else's files") {
  TemporaryFolder folder;
  BertConfig c;
  c.vocabulary = 8, c.layers = 1, c.hidden = 32, c.heads = 2, c.intermediate = 48, c.max_positions = 9;
  Device device;
  Bert bert(c);
  bert.store.allocate(device, Precision::fp32, false);
  const Vocabulary vocabulary(std::vector<int64_t>{12});
  export_model(folder / "ours", bert, vocabulary, {});
  export_model(folder / "ours", bert, vocabulary, {});
  // Disk full at the largest file: the next export completes.
  std::filesystem::create_directory(folder / "cut");
  std::string message;
  {
    const FileSizeLimit limit(10000);
    message = message_of<io::Error>([&] { export_model(folder / "cut", bert, vocabulary, {}); });
  }
  CHECK(message == folder / "cut/model.safetensors" + ": cannot be written: File too large");
  export_model(folder / "cut", bert, vocabulary, {});
  CHECK(contents(folder / "cut/model.safetensors") == contents(folder / "ours/model.safetensors"));
  for (const char* name :
       {"vocab.txt", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
    std::filesystem::create_directory(folder / "theirs");
    const std::string file = folder.write(fmt::format("theirs/{}", name), R"({"do_lower_case": true})");
    CHECK(message_of<io::Error>([&] { export_model(folder / "theirs", bert, vocabulary, {}); }) ==
          file + ": export did not write it, and will not replace it; choose another folder");
    CHECK(contents(file) == R"({"do_lower_case": true})");
    std::filesystem::remove_all(folder / "theirs");
  }
}
