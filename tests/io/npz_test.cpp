#include "io/npz.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <limits>

#include "io/error.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

// ---- Archives of other writers ----------------------------------------------------------------------------

namespace {

template <class T>
std::string bytes_of_value(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

uint32_t crc32(const std::string& data) {
  uint32_t crc = ~0u;
  for (const unsigned char byte : data) {
    crc ^= byte;
    for (int i = 0; i < 8; i++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

struct Member {
  std::string name, data;
  bool deflated = false;
  bool zip64 = false;                          // as Python >= 3.11 writes every member
  bool streamed = false;                       // sizes and CRC follow the data
  uint32_t damage = 0;                         // XORed onto the CRC
  uint16_t other_method = 0, other_flags = 0;  // claimed, not done
  uint32_t other_size = 0;                     // claimed
};

// A raw deflate stream with one stored block, enough to exercise the reader's inflate path.
std::string deflate(const std::string& data) {
  const auto n = uint16_t(data.size());
  return "\1" + bytes_of_value(n) + bytes_of_value(uint16_t(~n)) + data;
}

std::string zip(const std::vector<Member>& members) {
  std::string file, directory;
  for (const Member& m : members) {
    const std::string stored = m.deflated ? deflate(m.data) : m.data;
    const uint32_t crc = crc32(m.data) ^ m.damage;
    const uint16_t flags = (m.streamed ? 8 : 0) | m.other_flags, name = uint16_t(m.name.size());
    const uint16_t method = m.other_method ? m.other_method : m.deflated ? 8 : 0;
    const std::string common = bytes_of_value(uint16_t(m.zip64 ? 45 : 20)) + bytes_of_value(flags) +
                               bytes_of_value(method) + bytes_of_value(uint32_t(0x21 << 16));
    const uint64_t packed = stored.size(), full = m.other_size ? m.other_size : m.data.size();
    std::string extra;
    if (m.zip64)
      extra = bytes_of_value(uint16_t(1)) + bytes_of_value(uint16_t(16)) +
              bytes_of_value(m.streamed ? 0 : full) + bytes_of_value(m.streamed ? 0 : packed);
    const auto size = [&](uint64_t n) {
      return bytes_of_value(m.zip64 ? ~0u : m.streamed ? 0u : uint32_t(n));
    };
    const auto offset = uint32_t(file.size());
    file += "PK\3\4" + common + bytes_of_value(m.streamed ? 0 : crc) + size(packed) + size(full) +
            bytes_of_value(name) + bytes_of_value(uint16_t(extra.size())) + m.name + extra + stored;
    if (m.streamed) {
      file += "PK\7\x8" + bytes_of_value(crc);
      file += m.zip64 ? bytes_of_value(packed) + bytes_of_value(full)
                      : bytes_of_value(uint32_t(packed)) + bytes_of_value(uint32_t(full));
    }
    directory += "PK\1\2" + bytes_of_value(uint16_t(45)) + common + bytes_of_value(crc) +
                 bytes_of_value(uint32_t(packed)) + bytes_of_value(uint32_t(full)) + bytes_of_value(name) +
                 std::string(12, '\0') + bytes_of_value(offset) + m.name;
  }
  const auto count = uint16_t(members.size());
  return file + directory + "PK\5\6" + std::string(4, '\0') + bytes_of_value(count) + bytes_of_value(count) +
         bytes_of_value(uint32_t(directory.size())) + bytes_of_value(uint32_t(file.size())) +
         std::string(2, '\0');
}

std::string npy(const std::string& descr, bool fortran, const std::string& shape, const std::string& values,
                char version = 1) {
  const std::string header = "{'descr': " + descr + ", 'fortran_order': " + (fortran ? "True" : "False") +
                             ", 'shape': " + shape + ", }\n";
  const auto n = uint32_t(header.size());
  return std::string("\x93NUMPY") + version + '\0' +
         (version == 1 ? bytes_of_value(uint16_t(n)) : bytes_of_value(n)) + header + values;
}

template <class T>
std::string values(std::initializer_list<T> list, bool big_endian = false) {
  std::string out;
  for (const T value : list) {
    const std::string bytes = bytes_of_value(value);
    out += big_endian ? std::string(bytes.rbegin(), bytes.rend()) : bytes;
  }
  return out;
}

const std::string three_floats = npy("'<f4'", false, "(3,)", values<float>({1, 2.5f, -3}));
using Floats = std::vector<float>;

// Opens and verifies an archive; returns the error message after "<path>: ".
std::string refusal(const std::string& bytes) {
  const TemporaryFolder folder;
  const std::string path = folder.write("a.npz", bytes);
  const std::string message = message_of<io::Error>([&] { io::open_npz(path)->verify(); });
  return message.starts_with(path + ": ") ? message.substr(path.size() + 2) : "no file name: " + message;
}

template <class T>
std::vector<T> load(const std::string& npy_bytes) {
  const TemporaryFolder folder;
  return io::open_npz(folder.write("a.npz", zip({{"x.npy", npy_bytes}})))->load<T>("x");
}

}  // namespace

// ---- Reading ----------------------------------------------------------------------------------------------

TEST_CASE("npz: a size that the file cannot hold is refused before memory is reserved for it") {
  const std::string header = npy("'<f4'", false, "(1000000000,)", "");
  for (const bool deflated : {false, true})
    CHECK(refusal(zip({{.name = "x.npy",
                        .data = header,
                        .deflated = deflated,
                        .other_size = uint32_t(header.size() + 4'000'000'000)}})) ==
          "array 'x': claims more bytes than the file can hold; the file is damaged, copy or save it again");
}

TEST_CASE("npz: stored, deflated, zip64 and streamed members") {
  const TemporaryFolder folder;
  std::vector<Member> members;
  for (int i = 0; i < 8; i++)
    members.push_back(
        {"a/b" + std::to_string(i) + ".npy", three_floats, bool(i & 1), bool(i & 2), bool(i & 4)});
  const auto archive = io::open_npz(folder.write("a.npz", zip(members)));
  REQUIRE(archive->arrays().size() == 8);
  archive->verify();
  for (int i = 0; i < 8; i++) {
    const io::ArrayInfo& info = archive->arrays()[size_t(i)];
    CHECK(info.name == "a/b" + std::to_string(i));
    CHECK(info.dtype == io::DType::f32);
    CHECK(info.shape == std::vector<int64_t>{3});
    CHECK(archive->load<float>(info.name) == Floats{1, 2.5f, -3});
  }
}

TEST_CASE("npz: every dtype, in both byte orders") {
  CHECK(load<float>(npy("'<f8'", false, "(2,)", values<double>({1.5, -1e30}))) == Floats{1.5f, -1e30f});
  CHECK(load<float>(npy("'>f8'", false, "(2,)", values<double>({1.5, -1e30}, true))) == Floats{1.5f, -1e30f});
  CHECK(load<float>(npy("'>f4'", false, "(2,)", values<float>({1.5f, 7}, true))) == Floats{1.5f, 7});
  CHECK(load<int64_t>(npy("'>i8'", false, "(1,)", values<int64_t>({-5}, true))) == std::vector<int64_t>{-5});
  CHECK(load<int32_t>(npy("'>u2'", false, "(2,)", values<uint16_t>({65535, 1}, true))) ==
        std::vector<int32_t>{65535, 1});
  CHECK(load<int32_t>(npy("'|i1'", false, "(2,)", values<int8_t>({-128, 1}))) ==
        std::vector<int32_t>{-128, 1});
  CHECK(load<int64_t>(npy("'<u4'", false, "(1,)", values<uint32_t>({~0u}))) ==
        std::vector<int64_t>{4294967295});
  CHECK(load<int64_t>(npy("'<i2'", false, "(1,)", values<int16_t>({-300}))) == std::vector<int64_t>{-300});
  CHECK(load<uint8_t>(npy("'|u1'", false, "(2,)", "hi")) == std::vector<uint8_t>{'h', 'i'});
  CHECK(load<float>(npy("'=i4'", false, "(1,)", values<int32_t>({9}))) == Floats{9});
}

TEST_CASE("npz: half precision, all kinds of values") {
  const auto half = [](uint16_t bits) {
    return load<float>(npy("'<f2'", false, "(1,)", bytes_of_value(bits)))[0];
  };
  CHECK(half(0x3c00) == 1);
  CHECK(half(0xc001) == -2.001953125f);
  CHECK(half(0x7bff) == 65504);
  CHECK(half(0x0400) == std::ldexp(1.f, -14));
  CHECK(half(0x0001) == std::ldexp(1.f, -24));
  CHECK(half(0x83ff) == -1023 * std::ldexp(1.f, -24));
  CHECK(std::bit_cast<uint32_t>(half(0x8000)) == 0x80000000u);
  CHECK(half(0x7c00) == std::numeric_limits<float>::infinity());
  CHECK(half(0xfc00) == -std::numeric_limits<float>::infinity());
  CHECK(std::isnan(half(0x7e01)));
}

TEST_CASE("npz: Fortran order is transposed, also with other byte order, and in three dimensions") {
  CHECK(load<float>(npy("'<f4'", true, "(2, 3)", values<float>({1, 4, 2, 5, 3, 6}))) ==
        Floats{1, 2, 3, 4, 5, 6});
  CHECK(load<float>(npy("'>f4'", true, "(2, 3)", values<float>({1, 4, 2, 5, 3, 6}, true))) ==
        Floats{1, 2, 3, 4, 5, 6});
  CHECK(load<float>(npy("'<f4'", true, "(3,)", values<float>({1, 2, 3}))) == Floats{1, 2, 3});
  // x[i][j][k] = 100 i + 10 j + k, i fastest
  std::string stored;
  Floats expected;
  for (int k = 0; k < 4; k++)
    for (int j = 0; j < 3; j++)
      for (int i = 0; i < 2; i++) stored += bytes_of_value(int32_t(100 * i + 10 * j + k));
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 3; j++)
      for (int k = 0; k < 4; k++) expected.push_back(float(100 * i + 10 * j + k));
  CHECK(load<float>(npy("'<i4'", true, "(2, 3, 4)", stored)) == expected);
}

TEST_CASE("npz: scalars, empty arrays, header versions, and headers of older writers") {
  CHECK(load<float>(npy("'<f4'", false, "()", values<float>({7}))) == Floats{7});
  CHECK(load<float>(npy("'<f4'", false, "(0, 3)", "")).empty());
  CHECK(load<float>(npy("'<f4'", true, "(0, 3)", "")).empty());
  CHECK(load<float>(npy("'<f4'", false, "(1,)", values<float>({7}), 2)) == Floats{7});
  CHECK(load<float>(npy("'<f4'", false, "(1,)", values<float>({7}), 3)) == Floats{7});
  CHECK(load<float>(npy("'<f4'", false, "(1L, 2L)", values<float>({7, 8}))) == Floats{7, 8});
  CHECK(load<float>(npy("\"<f4\"", false, "(1,)", values<float>({7}))) == Floats{7});
}

TEST_CASE("npz: logical values keep their type") {
  const TemporaryFolder folder;
  const auto archive = io::open_npz(
      folder.write("a.npz", zip({{"x.npy", npy("'|b1'", false, "(2,)", std::string("\1\0", 2))}})));
  CHECK(archive->at("x").dtype == io::DType::boolean);
  CHECK(archive->load<int32_t>("x") == std::vector<int32_t>{1, 0});
}

TEST_CASE("npz: two-byte voids are bfloat16 only if the archive says so") {
  const std::string bf16 = npy("'<V2'", false, "(2,)", values<uint16_t>({0x3fc0, 0xc000}));
  const auto meta = [](const std::string& json) {
    return npy("'|u1'", false, "(" + std::to_string(json.size()) + ",)", json);
  };
  const TemporaryFolder folder;
  const auto archive = io::open_npz(folder.write(
      "a.npz", zip({{"x.npy", bf16}, {"__meta__.npy", meta(R"({"format": 1, "dtype": "bfloat16"})")}})));
  CHECK(archive->at("x").dtype == io::DType::bf16);
  CHECK(archive->load<float>("x") == Floats{1.5f, -2});

  const std::string refused =
      "array 'x' has dtype '<V2', probably bfloat16, which .npz cannot name; save it as float32";
  CHECK(refusal(zip({{"x.npy", bf16}})) == refused);
  for (const char* json : {R"({"dtype": "float32"})", "[]", "no JSON", ""})
    CHECK(refusal(zip({{"x.npy", bf16}, {"__meta__.npy", meta(json)}})) == refused);
}

TEST_CASE("npz: what is refused, by name") {
  const auto one = [](const std::string& npy_bytes) { return refusal(zip({{"w.npy", npy_bytes}})); };
  CHECK(one(npy("'|O'", false, "(1,)", "pickle..")) ==
        "array 'w' holds pickled Python objects ('|O'), which are never read; save numbers, or leave it out");
  CHECK(one(npy("'<U5'", false, "(1,)", std::string(20, 'x'))) ==
        "array 'w' has dtype '<U5', which is not supported; save it as float32 or int64, or leave it out");
  CHECK(one(npy("'<c8'", false, "(1,)", std::string(8, 'x'))).find("dtype '<c8', which is not supported") !=
        std::string::npos);
  CHECK(one(npy("[('a', '<f4')]", false, "(1,)", "1234")) ==
        "array 'w': has a structured dtype; save its fields as arrays of numbers");
  CHECK(one(npy("'<f4'", false, "(4,)", values<float>({1, 2, 3}))) ==
        "array 'w': shape [4] of '<f4' needs 16 bytes, the file holds 12; it is damaged, save it again");
  CHECK(one(npy("'<f4'", false, "(2,)", values<float>({1, 2, 3}))) ==
        "array 'w': shape [2] of '<f4' needs 8 bytes, the file holds 12; it is damaged, save it again");
  CHECK(one(npy("'<f4'", false, "(4294967296, 4294967296, 4)", "")).find("is absurd") != std::string::npos);
  CHECK(one(npy("'|u1'", false, "(4611686018427387904, 2, 0)", "")).find("is absurd") != std::string::npos);
  CHECK(one(npy("''", false, "(1,)", "1234")) ==
        "array 'w': its .npy header is malformed; save the file again");
  CHECK(one(npy("'<f4'", false, "(-1,)", "")) ==
        "array 'w': its .npy header is malformed; save the file again");
  CHECK(one(npy("'<f4'", false, "(3", "")) == "array 'w': its .npy header is malformed; save the file again");
  CHECK(one(npy("'<f4', 'descr': '<f8'", false, "()", "1234")) ==
        "array 'w': its .npy header is malformed; save the file again");
  for (const char* shape :
       {"(3.0,)", "(1e1,)", "(,)", "3", "'3'", "{'a': 3}", "(9223372036854775808,)", "(L,)"})
    CHECK(one(npy("'<f4'", false, shape, "")) ==
          "array 'w': its .npy header is malformed; save the file again");
  for (const char* descr : {"None", "3", "'<f4", "'<f4', 'more': 1"})
    CHECK(one(npy(descr, false, "()", "1234")) ==
          "array 'w': its .npy header is malformed; save the file again");
  CHECK(one(npy("[('\"a', '<f4', (2,)), ]", false, "(1,)", "1234")) ==
        "array 'w': has a structured dtype; save its fields as arrays of numbers");
  CHECK(one(npy("'<f4'", false, "()", "1234", 4)) == "array 'w': .npy version 4.0 is not known");
  CHECK(one("not an array") == "array 'w': is no .npy array");
  CHECK(one("short") == "array 'w': is no .npy array (5 bytes)");
  CHECK(refusal(zip({{"w.npy", three_floats}, {"w.npy", three_floats}})) ==
        "holds array 'w' more than once; save it again with one of each");
  CHECK(
      refusal(zip({{"archive/data.pkl", "x"}})) ==
      "member 'archive/data.pkl' is no .npy array; is this an .npz? (PyTorch checkpoints must be converted)");
  CHECK(refusal(zip({})) == "holds no arrays");
  CHECK(refusal("no zip at all") == "is no .npz (zip) file");
  CHECK(refusal("") == "is no .npz (zip) file");
}

TEST_CASE("npz: a method of compression that is not read is named, and so is encryption") {
  const auto packed = [](uint16_t method, uint16_t flags) {
    return refusal(zip({{"w.npy", three_floats, false, false, false, 0, method, flags}}));
  };
  const std::string advice = ", which is not read; save it with numpy.savez or savez_compressed";
  CHECK(packed(98, 0) == "array 'w' is compressed by zip method 98" + advice);
  CHECK(packed(9, 0) == "array 'w' is compressed by Deflate64" + advice);
  CHECK(packed(0, 1) == "array 'w' is encrypted; save it again without a password");
}

TEST_CASE("npz: damage is found wherever it is") {
  for (const bool deflated : {false, true}) {
    CHECK(refusal(zip({{"v.npy", three_floats}, {"w.npy", three_floats, deflated, false, false, 1}})) ==
          "array 'w': CRC error; the file is damaged, copy or save it again");
    std::string flipped = zip({{"w.npy", three_floats, deflated}});
    flipped[flipped.find("}\n") + 3] ^= 1;  // a bit of the first value
    CHECK(refusal(flipped) == "array 'w': CRC error; the file is damaged, copy or save it again");
  }
  const std::string whole = zip({{"w.npy", three_floats}, {"v.npy", three_floats}});
  for (size_t length : {size_t(4), size_t(50), whole.size() / 2, whole.size() - 1})
    CHECK(refusal(whole.substr(0, length)).find("cannot be read as .npz") == 0);

  const TemporaryFolder folder;
  CHECK(message_of<io::Error>([&] { io::open_npz(folder / "no.npz"); }) ==
        folder / "no.npz" + ": cannot be opened: No such file or directory");
  CHECK(message_of<io::Error>([&] { io::open_archive(folder / ""); }) ==
        folder / "" + ": cannot be read: Is a directory");
}

TEST_CASE("npz: a local header that is not the directory's is refused") {
  const std::string good = zip({{"w.npy", three_floats}, {"v.x.npy", three_floats}});
  std::string renamed = good;
  renamed[good.find("w.npy")] = 'u';
  CHECK(refusal(renamed).find("cannot be read as .npz") == 0);
  std::string slash = good;
  slash[good.rfind("v.x.npy") + 1] ^= '.' ^ '/';
  CHECK(refusal(slash).find("cannot be read as .npz") == 0);
  std::string shared = good;  // both entries at offset 0
  const size_t entry = good.rfind("PK\1\2");
  shared.replace(entry + 42, 4, bytes_of_value(uint32_t(0)));
  CHECK(refusal(shared).find("cannot be read as .npz") == 0);
}

TEST_CASE("npz: a load that does not fit says why") {
  const TemporaryFolder folder;
  const std::string path =
      folder.write("a.npz", zip({{"bert.layer.0.weight.npy", three_floats},
                                 {"big.npy", npy("'<i8'", false, "(2,)", values<int64_t>({1, 1LL << 40}))},
                                 {"huge.npy", npy("'<f8'", false, "(1,)", values<double>({1e300}))}}));
  const auto archive = io::open_archive(path);
  const auto refused = [&](auto action) { return message_of<io::Error>(action).substr(path.size() + 2); };
  CHECK(refused([&] { archive->load<float>("bert.layer.0.wieght"); }) ==
        "has no array 'bert.layer.0.wieght' (the nearest name is 'bert.layer.0.weight')");
  CHECK(refused([&] { archive->load<float>("something else"); }) == "has no array 'something else'");
  CHECK(refused([&] { archive->load<int32_t>("bert.layer.0.weight"); }) ==
        "array 'bert.layer.0.weight' holds float32, expected integers");
  CHECK(refused([&] { archive->load<int32_t>("big"); }) ==
        "array 'big': value 1099511627776 at index 1 does not fit int32");
  CHECK(refused([&] { archive->load<float>("huge"); }) ==
        "array 'huge': value 1e+300 at index 0 does not fit float32");
  CHECK(archive->find("nothing") == nullptr);
}

// ---- Writing ----------------------------------------------------------------------------------------------

static void write_sample(const std::string& path) {
  io::write_npz(
      path, std::vector{io::view("w/2d", {2, 3}, Floats{1, 2, 3, 4, 5, -0.f}),
                        io::view("ids", {2}, std::vector<int64_t>{-1, 1LL << 40}),
                        io::view("scalar", {}, std::vector<int32_t>{7}), io::view("empty", {0, 5}, Floats{}),
                        io::view("text", {2}, std::vector<uint8_t>{'o', 'k'})});
}

TEST_CASE("npz: what is written is read back, in order, over an older file") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a.npz", "something older");
  write_sample(path);
  const auto archive = io::open_npz(path);
  archive->verify();
  std::vector<std::string> names;
  for (const io::ArrayInfo& info : archive->arrays()) names.push_back(info.name);
  CHECK(names == std::vector<std::string>{"w/2d", "ids", "scalar", "empty", "text"});
  CHECK(archive->at("w/2d").shape == std::vector<int64_t>{2, 3});
  CHECK(archive->load<float>("w/2d") == Floats{1, 2, 3, 4, 5, 0});
  CHECK(archive->load<int64_t>("ids") == std::vector<int64_t>{-1, 1LL << 40});
  CHECK(archive->load<int32_t>("scalar") == std::vector<int32_t>{7});
  CHECK(archive->at("scalar").shape.empty());
  CHECK(archive->at("empty").shape == std::vector<int64_t>{0, 5});
  CHECK(archive->load<uint8_t>("text") == std::vector<uint8_t>{'o', 'k'});
  CHECK(folder.count_files() == 1);
}

TEST_CASE("npz: any flipped bit of a written file is found, and what is cut off or appended") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.npz";
  write_sample(path);
  const std::string good = contents(path);
  CHECK(good.substr(good.size() - 23, 15) == "warpbert crc32 ");
  for (size_t bit = 0; bit < 8 * good.size(); bit++) {
    std::string bad = good;
    bad[bit / 8] ^= char(1 << bit % 8);
    CAPTURE(bit);
    CHECK(refusal(bad) != "no file name: ");
  }
  for (const std::string& bad : {good.substr(0, good.size() - 1), good + '\0', good.substr(1)})
    CHECK(refusal(bad) != "no file name: ");
  std::string bad = good;
  bad[good.find("ok")] ^= 1;
  CHECK(refusal(bad) ==
        "its bytes do not have the checksum that was written with them; the file is damaged, copy it again");
}

TEST_CASE("npz: the same arrays give the same bytes in every time zone") {
  const TemporaryFolder folder;
  const char* before = getenv("TZ");
  const std::string kept = before ? before : "";
  std::string first;
  for (const char* zone : {"UTC0", "EST5EDT", "AAA-14", "BBB+12", "CCC-5:45"}) {
    setenv("TZ", zone, 1);
    tzset();
    write_sample(folder / "a.npz");
    if (first.empty()) first = contents(folder / "a.npz");
    CHECK(contents(folder / "a.npz") == first);
  }
  before ? setenv("TZ", kept.c_str(), 1) : unsetenv("TZ");
  tzset();
  const size_t entry = first.find("PK\3\4");
  CHECK(first.substr(entry + 10, 4) == std::string("\x00\x60\x21\x00", 4));  // 12:00, 1980-01-01
}

TEST_CASE("npz: a failed write leaves the older file, and says why") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a.npz", "precious");
  const Floats many(100000, 1.f);
  std::string message;
  {
    const FileSizeLimit limit(100000);
    message = message_of<io::Error>([&] { io::write_npz(path, std::vector{io::view("x", {100000}, many)}); });
  }
  CHECK(message == path + ": cannot be written: File too large");
  CHECK(contents(path) == "precious");
  CHECK(folder.count_files() == 1);
  CHECK(message_of<io::Error>([&] { write_sample(folder / "none/a.npz"); }) ==
        folder / "none/a.npz" + ": cannot be written: No such file or directory; its folder does not exist");
}

TEST_CASE("npz: arrays that cannot be written are refused before anything is touched") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a.npz", "precious");
  const auto x = io::view("x", {1}, Floats{1});
  CHECK(message_of<io::Error>([&] {
          io::write_npz(path, std::vector{x, x});
        }) == path + ": array 'x' cannot be written twice");
  CHECK(message_of<io::Error>([&] { io::write_npz(path, {}); }) == path + ": there are no arrays to write");
  const uint16_t one = 0x3f80;
  const io::ArrayView bf16{"x", io::DType::bf16, {1}, &one};
  CHECK(message_of<io::Error>([&] { io::write_npz(path, std::span(&bf16, 1)); }) ==
        "bfloat16 cannot be written to .npz: NumPy has no such dtype");
  CHECK(message_of<io::Error>([&] {
          io::view("x", {2, 2}, Floats{1});
        }) == "array 'x' of shape [2, 2] needs 4 values, got 1");
  CHECK(contents(path) == "precious");
}
