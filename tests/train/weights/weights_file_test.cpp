#include "train/weights/weights_file.h"

#include <doctest/doctest.h>

#include "io/error.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

static std::string refusal(const std::string& path) {
  return message_of<io::Error>([&] { find_weights(path); });
}

TEST_CASE("weights file: a Hugging Face folder as weights") {
  TemporaryFolder folder;
  const std::string here = folder / ".";
  CHECK(refusal(here) == here + ": a folder without model.safetensors; name the file of the weights");
  folder.write("pytorch_model.bin", "x");
  CHECK(refusal(here) ==
        here + ": a folder with a PyTorch file; io/convert/convert.py " + here + " bert.npz converts it");
  folder.write("model.safetensors.index.json", "{}");
  CHECK(find_weights(here) == here + "/model.safetensors.index.json");
  folder.write("model.safetensors", "x");
  CHECK(find_weights(here) == here + "/model.safetensors");
  CHECK(find_weights(folder / "pytorch_model.bin") ==
        folder / "pytorch_model.bin");  // open_archive() names it
  CHECK(find_weights(folder / "absent.npz") == folder / "absent.npz");
}

TEST_CASE("weights file: a TensorFlow checkpoint names the command that converts it") {
  TemporaryFolder folder;
  const auto said = [](const std::string& path, const char* what) {
    return path + ": " + what + "; io/convert/convert.py " + path + " bert.npz converts it";
  };
  folder.write("bert_model.ckpt.index", "x");
  folder.write("bert_model.ckpt.meta", "x");
  folder.write("bert_model.ckpt.data-00000-of-00001", "x");
  for (const char* end : {"", ".index", ".meta", ".data-00000-of-00001"}) {
    const std::string path = folder / "bert_model.ckpt" + end;
    CHECK(refusal(path) == said(path, "a TensorFlow checkpoint"));
  }
  CHECK(refusal(folder / ".") == said(folder / ".", "a folder with a TensorFlow checkpoint"));
  folder.write("bert_model.ckpt", "weights by another name");
  CHECK(refusal(folder / "bert_model.ckpt") == "");
}
