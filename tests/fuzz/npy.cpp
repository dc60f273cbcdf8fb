// A member of an .npz: the input inside a zip archive with the right sizes and checksum.
#include <zlib.h>

#include "arrays.h"
#include "io/npy.h"

using namespace warpbert;
using namespace warpbert::fuzz;

namespace {

std::string zip_of(std::string_view name, std::string_view bytes) {
  std::string zip;
  const auto number = [&](uint64_t value, int width) {
    for (int i = 0; i < width; i++) zip += char(value >> 8 * i);
  };
  const auto fields = [&] {  // from "version needed" to the length of the extra field
    number(20, 2), number(0, 2), number(0, 2), number(0, 2), number(0x21, 2);
    number(crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), uInt(bytes.size())), 4);
    number(bytes.size(), 4), number(bytes.size(), 4), number(name.size(), 2), number(0, 2);
  };
  zip += "PK\3\4";
  fields();
  zip.append(name).append(bytes);
  const size_t directory = zip.size();
  zip += "PK\1\2";
  number(20, 2);
  fields();
  number(0, 2), number(0, 2), number(0, 2), number(0, 4), number(0, 4);
  zip += name;
  const size_t end = zip.size();
  zip += "PK\5\6";
  number(0, 4), number(1, 2), number(1, 2), number(end - directory, 4), number(directory, 4), number(0, 2);
  return zip;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = write("in.npz", zip_of("x.npy", text_of(data, size))),
                    again = folder() / "again.npz";
  accepts(path, [&] {
    const auto archive = io::open_npz(path);
    const Contents all = read_all(*archive);
    const io::ArrayView& array = all.views.at(0);
    const std::string header = io::npy_header(array.dtype, array.shape);
    size_t place = 0;
    const auto next = [&](void* bytes, size_t n) {
      require(place + n <= header.size(), "a header is read beyond its end");
      std::memcpy(bytes, &header[place], n), place += n;
    };
    const io::NpyHeader read = io::read_npy_header(next, header.size() + all.bytes[0].size(), "our header");
    require(read.dtype == array.dtype && read.shape == array.shape && read.bytes == header.size(),
            "a .npy header reads otherwise than it was written");
    io::write_npz(again, all.views);
    require_equal(*io::open_npz(again), all);
  });
  return 0;
}
