#include "train/weights/names.h"

#include <doctest/doctest.h>

#include <vector>

#include "io/error.h"
#include "tests/support/temporary.h"

using namespace warpbert;

static void check(const char* name, const char* canonical, bool transposed = false) {
  const CanonicalName found = canonical_name(name);
  INFO(name);
  CHECK(found.name == canonical);
  CHECK(found.transposed == transposed);
}

TEST_CASE("names: Hugging Face's are ours") {
  for (const char* name :
       {"bert.embeddings.word_embeddings.weight", "bert.encoder.layer.11.attention.self.query.bias",
        "cls.predictions.transform.LayerNorm.weight", "cls.predictions.bias",
        "cls.predictions.decoder.weight", "something.else"})
    check(name, name);
}

TEST_CASE("names: gamma, beta and a missing prefix") {
  check("bert.embeddings.LayerNorm.gamma", "bert.embeddings.LayerNorm.weight");
  check("embeddings.LayerNorm.beta", "bert.embeddings.LayerNorm.bias");
  check("encoder.layer.3.output.dense.weight", "bert.encoder.layer.3.output.dense.weight");
  check("cls.predictions.transform.LayerNorm.beta", "cls.predictions.transform.LayerNorm.bias");
}

TEST_CASE("names: Google's, with kernels transposed") {
  check("bert/embeddings/word_embeddings", "bert.embeddings.word_embeddings.weight");
  check("bert/embeddings/token_type_embeddings", "bert.embeddings.token_type_embeddings.weight");
  check("bert/embeddings/LayerNorm/gamma", "bert.embeddings.LayerNorm.weight");
  check("bert/encoder/layer_11/attention/self/key/kernel", "bert.encoder.layer.11.attention.self.key.weight",
        true);
  check("bert/encoder/layer_11/attention/self/key/bias", "bert.encoder.layer.11.attention.self.key.bias");
  check("bert/encoder/layer_0/attention/output/LayerNorm/beta",
        "bert.encoder.layer.0.attention.output.LayerNorm.bias");
  check("cls/predictions/transform/dense/kernel", "cls.predictions.transform.dense.weight", true);
  check("cls/predictions/output_bias", "cls.predictions.bias");
}

TEST_CASE("names: what is no part of the model") {
  for (const char* name :
       {"bert.pooler.dense.weight", "pooler.dense.bias", "bert/pooler/dense/kernel",
        "cls.seq_relationship.weight", "cls/seq_relationship/output_weights", "bert.embeddings.position_ids",
        "embeddings.position_ids", "global_step", "bert/embeddings/word_embeddings/adam_m",
        "cls/predictions/output_bias/adam_v", "__meta__", "vocab/cipher_ids",
        "optim.m/bert.embeddings.LayerNorm.weight", "ema/bert.embeddings.LayerNorm.weight", "state/step",
        "bert.embeddings.token_type_ids", "bert/embeddings/word_embeddings/Adam_1"})
    CHECK(canonical_name(name).name.empty());
}

TEST_CASE("names: prefixes of wrappers, told by the word embedding") {
  const auto prefix = [](std::vector<std::string> names) { return wrapper_prefix(names, "m.npz"); };
  const std::string words = name::word_embeddings, bare = "embeddings.word_embeddings.weight";
  for (const std::string found :
       {"", "module.", "_orig_mod.", "model.", "model.bert.", "bert.", "any.", "base_model.model."})
    CHECK(prefix({found + "cls.predictions.bias", found + words, "classifier.weight"}) == found);
  for (const std::string found : {"", "module.", "0.auto_model.", "model.", "module.model."})
    CHECK(prefix({found + bare}) == found);
  CHECK(prefix({"module/bert/embeddings/word_embeddings"}) == "module/");
  for (const char* other : {"roberta.", "electra.", "distilbert.", "albert."})
    CHECK(prefix({other + bare}) == "");
  CHECK(prefix({"optim.m/" + words, words}) == "");
  CHECK(prefix({"teacher." + words, words}) == "");
  CHECK(prefix({}) == "");
  CHECK(test::message_of<io::Error>([&] {
          prefix({"a." + words, "b." + words});
        }) == "m.npz: holds several BERTs, 'a.…' and 'b.…'; save the one that is wanted alone");
}
