// Helper of npz_numpy.py. `npz_tool write OUT.npz` writes known arrays; `npz_tool read IN` prints every array
// as one JSON line: name, dtype, shape, values.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "io/error.h"
#include "io/npz.h"

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

int main(int argc, char** argv) {
  const std::string command = argc == 3 ? argv[1] : "";
  try {
    if (command == "write") write(argv[2]);
    else if (command == "read") read(argv[2]);
    else io::fail("usage: npz_tool write|read FILE");
  } catch (const io::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
