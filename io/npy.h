// Header of a .npy file: magic, version, and a Python dictionary with dtype, order and shape.
#pragma once
#include <functional>
#include <optional>

#include "array.h"

namespace warpbert::io {

struct NpyHeader {
  std::string descr;           // as written: "<f4"
  std::string type;            // without the byte order: "f4"
  std::optional<DType> dtype;  // empty: unsupported
  size_t item_bytes = 0;
  bool swapped = false;  // big-endian
  bool fortran_order = false;
  std::vector<int64_t> shape;
  size_t bytes = 0;  // offset of the values

  void to_native_c_order(std::span<std::byte> values) const;  // in place
};

// Reads the header of a stream of `total` bytes and checks it against the rest. `next` reads that many bytes
// or throws; messages begin with `where`.
NpyHeader read_npy_header(const std::function<void(void*, size_t)>& next, uint64_t total,
                          const std::string& where);

// Version 1.0, padded to a multiple of 64 bytes.
std::string npy_header(DType dtype, std::span<const int64_t> shape);

}  // namespace warpbert::io
