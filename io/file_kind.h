// Recognises files that are not what their name says.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace warpbert::io {

constexpr size_t file_kind_bytes = 512;  // read by foreign_kind

// foreign_kind of a zip archive of no special kind; an .npz is one.
constexpr std::string_view zip_archive = "a zip archive; unpack it";

// Kind of a file by its first bytes, and the remedy, after "PATH: is ": "a Git LFS pointer, …; fetch it with
// `git lfs pull`". "" if unknown. A reader checks for its own format first.
std::string foreign_kind(std::string_view start);

}  // namespace warpbert::io
