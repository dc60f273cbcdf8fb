#include "file_kind.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>

#include "text.h"

namespace warpbert::io {

using namespace std::string_view_literals;

namespace {

constexpr std::string_view web_page = "a web page (HTML), not the file itself; download it again",
                           xml =
                               "an XML document; if it is a server's error message, download the file "
                               "again, else extract its text",
                           pytorch =
                               "a PyTorch file (.bin, .pt: a pickle); `io/convert/convert.py FILE bert.npz` "
                               "converts weights",
                           office = "a spreadsheet or another Office file; save it as tab-separated text";

struct Magic {
  std::string_view bytes, kind;
};
constexpr Magic magics[] = {
    {"version https://git-lfs"sv, "a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"},
    {"\x1f\x8b"sv, "compressed by gzip; unpack it with gunzip"},
    {"\xfd"
     "7zXZ\0"sv,
     "compressed by xz; unpack it with unxz"},
    {"BZh91AY&SY"sv, "compressed by bzip2; unpack it with bunzip2"},
    {"\x28\xb5\x2f\xfd"sv, "compressed by zstd; unpack it with unzstd"},
    {"7z\xbc\xaf\x27\x1c"sv, "a 7z archive; unpack it"},
    {"Rar!\x1a\x07"sv, "a RAR archive; unpack it"},
    {"\x89HDF\r\n\x1a\n"sv,
     "an HDF5 file (Keras), whose arrays are numbered; write a checkpoint with bert4keras' "
     "save_weights_as_checkpoint, and convert it with io/convert/convert.py"},
    {"\x93NUMPY"sv, "a single NumPy array (.npy); save it with its name in an .npz (numpy.savez)"},
    {"GGUF\3\0\0\0"sv, "a GGUF file; weights in .safetensors are read"},
    {"PAR1\x15"sv, "a Parquet file; save it as tab-separated text"},
    {"ARROW1\0\0"sv, "an Arrow file; save it as tab-separated text"},
    {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, office},
    {"%PDF-"sv, "a PDF document"},
    {"\xff\xfe"sv, "text in UTF-16; save it as UTF-8"},
    {"\xfe\xff"sv, "text in UTF-16; save it as UTF-8"},
};

std::string_view kind_of_zip(std::string_view start) {
  const std::string_view name = start.substr(std::min<size_t>(start.size(), 30));
  for (const auto part : {"[Content_Types].xml"sv, "_rels/"sv})
    if (name.starts_with(part)) return office;
  // PyTorch's first member is NAME/data.pkl.
  if (const size_t slash = name.find('/');
      slash != name.npos && name.substr(slash).starts_with("/data.pkl"sv))
    return pytorch;
  return zip_archive;
}

std::string_view kind_of_markup(std::string_view start) {
  if (start.starts_with("\xef\xbb\xbf")) start.remove_prefix(3);
  std::string text(strip(start));
  for (char& c : text) c = char(std::tolower(static_cast<unsigned char>(c)));
  const bool is_xml = text.starts_with("<?xml");
  for (const auto tag : {"<!doctype html"sv, "<html"sv})
    if (is_xml ? text.find(tag) != text.npos : text.starts_with(tag)) return web_page;
  return is_xml || text.starts_with("<!doctype") ? xml : ""sv;
}

}  // namespace

std::string foreign_kind(std::string_view start) {
  for (const auto& [bytes, kind] : magics)
    if (start.starts_with(bytes)) return std::string(kind);
  if (start.starts_with("PK\3\4"sv) || start.starts_with("PK\5\6"sv)) return std::string(kind_of_zip(start));
  // A pickle of protocol 2 to 5; PyTorch's old format begins with its magic number as a long.
  if (start.size() > 2 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5) return std::string(pytorch);
  if (start.size() > 257)
    for (const auto tar : {"ustar\0"sv, "ustar  \0"sv})  // POSIX, GNU
      if (start.substr(257).starts_with(tar)) return "a tar archive; unpack it";
  return std::string(kind_of_markup(start));
}

}  // namespace warpbert::io
