// A text file. Compressed by gzip, it reads the same.
#include "io/text_file.h"

#include <zlib.h>

#include "fuzz.h"

using namespace warpbert;
using namespace warpbert::fuzz;

namespace {

std::string gzip(std::string_view text) {
  z_stream stream{};
  require(deflateInit2(&stream, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK, "no zlib");
  std::string packed(deflateBound(&stream, uLong(text.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data())),
  stream.avail_in = uInt(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data()), stream.avail_out = uInt(packed.size());
  require(deflate(&stream, Z_FINISH) == Z_STREAM_END, "zlib does not compress");
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input = text_of(data, size);
  const std::string plain = write("in.txt", input), packed = write("in.gz", gzip(input));
  std::string text, unpacked;
  const bool is_text = accepts(plain, [&] { text = io::read_text(plain); });
  if (input.starts_with("\x1f\x8b")) return 0;  // unpacked once
  const bool is_packed_text = accepts(packed, [&] { unpacked = io::read_text(packed); });
  require(is_text == is_packed_text && text == unpacked, "gzip of a text reads otherwise than the text");
  return 0;
}
