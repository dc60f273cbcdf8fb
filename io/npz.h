// NumPy's .npz: a zip archive of .npy files.
#pragma once
#include "array.h"

namespace warpbert::io {

constexpr std::string_view npz_checksum_mark = "warpbert crc32 ";  // at the end (checksum.h)

// Reads stored, deflated, zip64 and streamed archives; float16/32/64 and integers of either byte order; C and
// Fortran order. ml_dtypes stores bfloat16 as '<V2': accepted only if `__meta__` (uint8, JSON) has "dtype":
// "bfloat16". Throws Error naming pickled objects, duplicates, and members that are not .npy.
std::unique_ptr<Archive> open_npz(const std::string& path);

// Writes uncompressed, atomically, with a checksum as the archive's comment (not to a pipe). Equal arrays
// give equal bytes. Throws Error for bf16, which NumPy lacks.
void write_npz(const std::string& path, std::span<const ArrayView> arrays);

}  // namespace warpbert::io
