// NumPy's .npz: a zip archive with a .npy file for each array.
#pragma once
#include "array.h"

namespace warpbert::io {

// Stored, deflated, zip64 and streamed archives; float16/32/64 and integers of either byte order; C and Fortran order.
// '<V2' is how bfloat16 arrives from ml_dtypes: accepted only if the array `__meta__` (uint8, JSON) has "dtype":
// "bfloat16". Pickled objects, duplicate names and members that are no .npy are refused by name.
std::unique_ptr<Archive> open_npz(const std::string& path);

// Writes the arrays in the given order, uncompressed, atomically. The same arrays give the same bytes: all zip times
// are 1980-01-01 in every time zone. bf16 is not written (NumPy has no such dtype).
void write_npz(const std::string& path, std::span<const ArrayView> arrays);

}  // namespace warpbert::io
