// Helper of npz_numpy.py and survive_test.py. `npz_tool write OUT.npz` writes known arrays; `npz_tool read IN`
// prints every array as one JSON line: name, dtype, shape, values; `npz_tool flip IN` flips a bit of every byte
// in turn, in a copy beside it, and fails at the first flip that reading does not find.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "io/array.h"
#include "io/atomic_file.h"
#include "io/error.h"
#include "io/npz.h"
#include "io/text.h"

using namespace warpbert;

static void write(const std::string& path) {
  io::write_npz(path,
                std::vector{io::view("layer/weight", {2, 3}, std::vector<float>{1.5f, -2, 3e-38f, 4, 5, 6}),
                            io::view("ids", {3}, std::vector<int64_t>{-1, 0, 1LL << 40}),
                            io::view("steps", {}, std::vector<int32_t>{7}),
                            io::view("none", {0, 4}, std::vector<float>{}),
                            io::view("text", {2}, std::vector<uint8_t>{'o', 'k'})});
}

static void read(const std::string& path) {
  const auto archive = io::open_archive(path);
  archive->verify();
  for (const io::ArrayInfo& info : archive->arrays()) {
    nlohmann::json line{{"name", info.name}, {"dtype", io::name_of(info.dtype)}, {"shape", info.shape}};
    if (info.dtype <= io::DType::f64) line["values"] = archive->load<float>(info.name);
    else line["values"] = archive->load<int64_t>(info.name);
    fmt::print("{}\n", line.dump());
  }
}

static void flip(const std::string& path) {
  const std::string bytes = io::read_file(path), copy = path + ".flipped";
  io::write_file_atomically(copy, bytes);
  std::fstream file(copy, std::ios::in | std::ios::out | std::ios::binary);
  const auto put = [&](size_t place, char byte) {
    if (!file.seekp(std::streamoff(place)).put(byte).flush()) io::fail("{}: cannot be written", copy);
  };
  for (size_t place = 0; place < bytes.size(); place++) {
    put(place, char(bytes[place] ^ 1 << place % 8));
    bool found = false;
    try {
      io::open_archive(copy)->verify();
    } catch (const io::Error& error) {
      found = std::string_view(error.what()).starts_with(copy);
    }
    if (!found) io::fail("{}: a flipped bit of byte {} is not found", path, place);
    put(place, bytes[place]);
  }
  std::filesystem::remove(copy);
  fmt::print("{}: {} flips\n", path, bytes.size());
}

int main(int argc, char** argv) {
  const std::string command = argc == 3 ? argv[1] : "";
  try {
    if (command == "write") write(argv[2]);
    else if (command == "read") read(argv[2]);
    else if (command == "flip") flip(argv[2]);
    else io::fail("usage: npz_tool write|read|flip FILE");
  } catch (const io::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
