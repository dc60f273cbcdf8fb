#include "io/safetensors.h"

#include <doctest/doctest.h>

#include "io/error.h"
#include "io/npz.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

using Floats = std::vector<float>;

static std::string safetensors(const std::string& header, const std::string& values) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + values;
}
static std::string refusal(const std::string& bytes) {
  const TemporaryFolder folder;
  const std::string path = folder.write("m.safetensors", bytes);
  const std::string message = message_of<io::Error>([&] { io::open_safetensors(path)->verify(); });
  return message.starts_with(path + ": ") ? message.substr(path.size() + 2) : "no file name: " + message;
}

TEST_CASE("safetensors: dtypes, order of the file, and metadata that is no array") {
  const TemporaryFolder folder;
  const float two[] = {1.5f, -2};
  const std::string path = folder.write(
      "m.safetensors",
      safetensors(
          R"({"__metadata__":{"format":"pt"},"z":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
          R"("h":{"dtype":"F16","shape":[],"data_offsets":[8,10]},"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[10,14]},)"
          R"("i":{"dtype":"I64","shape":[1],"data_offsets":[14,22]},"e":{"dtype":"F32","shape":[0,4],"data_offsets":[22,22]}}  )",
          std::string(reinterpret_cast<const char*>(two), 8) + std::string("\x00\x3c", 2) +
              std::string("\xc0\x3f\x00\xc0", 4) + std::string("\xff\xff\xff\xff\xff\xff\xff\xff")));
  const auto archive = io::open_archive(path);
  std::vector<std::string> names;
  for (const io::ArrayInfo& info : archive->arrays()) names.push_back(info.name);
  CHECK(names == std::vector<std::string>{"z", "h", "a", "i", "e"});
  CHECK(archive->load<float>("z") == Floats{1.5f, -2});
  CHECK(archive->load<float>("h") == Floats{1});
  CHECK(archive->at("h").shape.empty());
  CHECK(archive->load<float>("a") == Floats{1.5f, -2});
  CHECK(archive->load<int32_t>("i") == std::vector<int32_t>{-1});
  CHECK(archive->load<float>("e").empty());
  archive->verify();
}

TEST_CASE("safetensors: what is refused") {
  const std::string eight(8, 'x');
  const auto one = [&](const std::string& entry) {
    return refusal(safetensors("{\"w\":" + entry + "}", eight));
  };
  CHECK(one(R"({"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]})") ==
        "array 'w' has dtype 'F8_E4M3', which is not supported; save it as F32");
  CHECK(one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})") ==
        "array 'w': shape [3] of F32 needs 12 bytes, the file holds 8; save it again");
  const std::string outside = "array 'w' is outside the file; it is damaged or cut off, copy it again";
  CHECK(one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,12]})") == outside);
  CHECK(one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})") == outside);
  CHECK(one(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})") == outside);
  CHECK(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})") == outside);
  CHECK(one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})") ==
        "array 'w' has an absurd shape; save the file again");
  CHECK(one(R"({"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]})") ==
        "array 'w' has an absurd shape; save the file again");
  CHECK(one(R"({"dtype":"U8","shape":[4611686018427387904,2,0],"data_offsets":[0,0]})") ==
        "array 'w' has an absurd shape; save the file again");
  CHECK(one(R"({"shape":[2],"data_offsets":[0,8]})") ==
        "array 'w': its entry lacks dtype, shape or data_offsets; save the file again");
  CHECK(one("3") == "array 'w': its entry lacks dtype, shape or data_offsets; save the file again");
  const std::string entry = R"("w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  CHECK(refusal(safetensors("{" + entry + "," + entry + "}", eight)) ==
        "holds array 'w' more than once; save it again with one of each");
  CHECK(refusal(safetensors(R"({"\u001b[31mw":{}})", eight)) ==
        "the name of array '\\x1b[31mw' holds control characters; save it under another");
  CHECK(refusal(safetensors("{\"__metadata__\":{}}", "")) == "holds no arrays");
  CHECK(refusal(safetensors("[1]", "")) ==
        "its header is no JSON object; the file is damaged, copy it again");
  CHECK(refusal(safetensors("{nonsense", "")) ==
        "its header is no JSON object; the file is damaged, copy it again");
  CHECK(refusal("short") == "is no .safetensors file, or cut off (5 bytes); copy it again");
  CHECK(refusal(safetensors("{" + entry + "}", eight).substr(0, 30)) ==
        "is no .safetensors file, or cut off (30 bytes); copy it again");
  CHECK(refusal(safetensors("{" + entry + "}", "1234567")) == outside);
}

TEST_CASE("safetensors: arrays that overlap, leave a hole, or are followed by something are refused") {
  const auto two = [](const std::string& second) {
    return safetensors(
        R"({"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],)"
        R"("data_offsets":)" +
            second + "}}",
        "12345678");
  };
  CHECK(refusal(two("[4,8]")) == "no file name: ");  // nothing to refuse
  CHECK(refusal(two("[0,4]")) == "array 'w' overlaps another one; save the file again");
  CHECK(refusal(two("[3,7]")) == "array 'w' overlaps another one; save the file again");
  const std::string one = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":)";
  CHECK(refusal(safetensors(one + "[4,8]}}", "12345678")) ==
        "4 bytes before array 'w' belong to none; save the file again");
  CHECK(refusal(safetensors(one + "[0,4]}}", "12345678")) ==
        "4 bytes after the last array belong to none; save the file again");
  // An empty array may be where another one begins.
  CHECK(refusal(safetensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                            R"("e":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
                            "1234")) == "no file name: ");
}

TEST_CASE("safetensors: logical values keep their type, and a header of 19280 bytes is no zip archive") {
  const TemporaryFolder folder;
  std::string header = R"({"w":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})";
  header.append(19280 - header.size(), ' ');  // the file begins with "PK"
  const auto archive =
      io::open_archive(folder.write("m.safetensors", safetensors(header, std::string("\1\0", 2))));
  CHECK(archive->at("w").dtype == io::DType::boolean);
  CHECK(archive->load<int32_t>("w") == std::vector<int32_t>{1, 0});
}

TEST_CASE("safetensors: a model in several files is opened by its index") {
  const TemporaryFolder folder;
  io::write_safetensors(folder / "a.safetensors",
                        std::vector{io::view("x", {2}, Floats{1, 2}), io::view("y", {1}, Floats{3})});
  io::write_safetensors(folder / "b.safetensors",
                        std::vector{io::view("y", {1}, Floats{9}), io::view("z", {1}, Floats{4})});
  const std::string map = R"("x": "a.safetensors", "y": "a.safetensors", "z": "b.safetensors")";
  const std::string path = folder.write("m.index.json", R"({"metadata": {}, "weight_map": {)" + map + "}}");
  const auto archive = io::open_archive(path);
  archive->verify();
  REQUIRE(archive->arrays().size() == 3);
  CHECK(archive->load<float>("x") == Floats{1, 2});
  CHECK(archive->load<float>("y") == Floats{3});
  CHECK(archive->load<float>("z") == Floats{4});

  const auto refused = [&](const std::string& weight_map) {
    return message_of<io::Error>(
        [&] { io::open_archive(folder.write("m.index.json", R"({"weight_map": )" + weight_map + "}")); });
  };
  CHECK(refused(R"({"x": "c.safetensors"})") ==
        folder / "c.safetensors" + ": is missing; " + path + " names it");
  CHECK(refused(R"({"q": "a.safetensors"})") ==
        folder / "a.safetensors" + ": lacks 'q', which " + path + " says it holds");
  CHECK(refused(R"({"x": "pytorch_model-1.bin"})") ==
        path + ": names 'pytorch_model-1.bin', which is no .safetensors; io/convert/convert.py " + path +
            " bert.npz converts PyTorch's files");
  CHECK(refused("[1]") == path + ": its weight_map does not map names of arrays to files");
  CHECK(refused(R"({"x": 1})") == path + ": its weight_map does not map names of arrays to files");
  CHECK(refused("{}") == path + ": holds no arrays");
}

TEST_CASE("safetensors: what is written is read back, and has the metadata that transformers wants") {
  const TemporaryFolder folder;
  const std::string path = folder / "m.safetensors";
  io::write_safetensors(
      path, std::vector{io::view("z", {2, 2}, Floats{1, 2, 3, 4}), io::view("a", {1}, Floats{5})});
  const auto archive = io::open_archive(path);
  REQUIRE(archive->arrays().size() == 2);
  CHECK(archive->arrays()[0].name == "z");
  CHECK(archive->at("z").shape == std::vector<int64_t>{2, 2});
  CHECK(archive->load<float>("z") == Floats{1, 2, 3, 4});
  CHECK(archive->load<float>("a") == Floats{5});
  const std::string bytes = contents(path);
  CHECK(bytes.substr(8).starts_with(R"({"__metadata__":{"format":"pt","crc32":")"));
  CHECK(bytes.size() % 4 == 0);
  CHECK((uint8_t(bytes[0]) + 8) % 8 == 0);
  CHECK(folder.count_files() == 1);
  const auto x = io::view("x", {1}, Floats{1});
  CHECK(message_of<io::Error>([&] {
          io::write_safetensors(path, std::vector{x, x});
        }) == path + ": array 'x' cannot be written twice");
}

TEST_CASE("safetensors: any flipped bit of a written file is found") {
  const TemporaryFolder folder;
  const std::string path = folder / "m.safetensors";
  io::write_safetensors(path, std::vector{io::view("z", {2, 2}, Floats{1, 2, 3, 4}),
                                          io::view("none", {0}, Floats{}), io::view("a", {1}, Floats{5})});
  const std::string good = contents(path);
  for (size_t bit = 0; bit < 8 * good.size(); bit++) {
    std::string bad = good;
    bad[bit / 8] ^= char(1 << bit % 8);
    CAPTURE(bit);
    CHECK(refusal(bad) != "no file name: ");
  }
  std::string bad = good;
  bad.back() ^= 1;
  CHECK(refusal(bad) ==
        "its bytes do not have the checksum that was written with them; the file is damaged, copy it again");
}

TEST_CASE("archive: told apart by content, whatever the name") {
  const TemporaryFolder folder;
  io::write_safetensors(folder / "a.npz", std::vector{io::view("x", {1}, Floats{1})});
  CHECK(io::open_archive(folder / "a.npz")->load<float>("x") == Floats{1});
  for (const char* text : {"", "{}", "neither of the two"})
    CHECK(message_of<io::Error>([&] { io::open_archive(folder.write("b.npz", text)); }) ==
          folder / "b.npz" +
              ": is neither an .npz nor a .safetensors file; convert other formats to one of them");
}

TEST_CASE("archive: another kind of file is called by its name, by every reader") {
  const TemporaryFolder folder;
  const std::string lfs =
      folder.write("m.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 9\n");
  const std::string said = lfs + ": is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`";
  CHECK(message_of<io::Error>([&] { io::open_archive(lfs); }) == said);
  CHECK(message_of<io::Error>([&] { io::open_safetensors(lfs); }) == said);
  CHECK(message_of<io::Error>([&] { io::open_npz(lfs); }) == said);
  const std::string torch = folder.write("m.npz", "PK\3\4" + std::string(26, 'x') + "archive/data.pkl");
  CHECK(message_of<io::Error>([&] { io::open_archive(torch); }) ==
        torch +
            ": is a PyTorch file (.bin, .pt: a pickle); `io/convert/convert.py FILE bert.npz` converts "
            "weights");
}
