#include "io/file_kind.h"

#include <doctest/doctest.h>

#include <utility>

using namespace warpbert;
using namespace std::string_literals;

TEST_CASE("file kinds: what pretends to be weights or text is named, with the way out") {
  for (const auto& file : {
           std::pair{"version https://git-lfs.github.com/spec/v1\noid sha256:aa\n"s, "a Git LFS pointer"},
           {"<!DOCTYPE html>\n<html class=\"\">"s, "a web page (HTML)"},
           {"\xef\xbb\xbf\n  <HTML lang=\"zh\">"s, "a web page (HTML)"},
           {"<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0\""s, "a web page (HTML)"},
           {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>"s,
            "an XML document; if it is a server's"},
           {"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<mediawiki>"s, "an XML document"},
           {"<!DOCTYPE corpus SYSTEM \"corpus.dtd\">"s, "an XML document"},
           {"\x1f\x8b\x08\0"s, "compressed by gzip; unpack it with gunzip"},
           {"\xfd"
            "7zXZ\0\0"s,
            "compressed by xz"},
           {"BZh91AY&SY"s, "compressed by bzip2"},
           {"\x28\xb5\x2f\xfd\x24"s, "compressed by zstd"},
           {"7z\xbc\xaf\x27\x1c"s, "a 7z archive"},
           {"PK\3\4"s + std::string(26, '\0') + "archive/data.pkl", "a PyTorch file"},
           {"PK\3\4"s + std::string(26, '\0') + "[Content_Types].xml", "a spreadsheet"},
           {"PK\3\4"s + std::string(26, '\0') + "pairs.tsv", "a zip archive"},
           {"PK\5\6"s + std::string(18, '\0'), "a zip archive"},
           {"\x80\x02\x8a\x0al\xfc\x9c\x46"s, "a PyTorch file"},
           {"\x80\x04\x95"s, "a PyTorch file"},
           {"\x89HDF\r\n\x1a\n"s, "an HDF5 file"},
           {"\x93NUMPY\x01\0"s, "a single NumPy array (.npy)"},
           {"GGUF\3\0\0\0"s, "a GGUF file"},
           {"PAR1\x15\4"s, "a Parquet file"},
           {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"s, "a spreadsheet"},
           {"\xff\xfe"
            "1\0"s,
            "text in UTF-16; save it as UTF-8"},
           {std::string(257, '\0') + "ustar\0"s, "a tar archive"},
           {std::string(257, '\0') + "ustar  \0"s, "a tar archive"},
       }) {
    CAPTURE(file.second);
    CHECK(io::foreign_kind(file.first).starts_with(file.second));
  }
}

TEST_CASE("file kinds: text, JSON, safetensors and nothing are none of them") {
  for (const auto& start :
       {""s, "1 2\t3 4\t1\n"s, "<unk>\n<html\tx\n"s, "{\"a\": 1}"s, "PK\t1\n"s, "PAR1 4\t5\n"s,
        "BZhang\t张\n"s, "versions of\tx\n"s, "\x10\0\0\0\0\0\0\0{\"w\":{}}"s, "\xef\xbb\xbf[PAD]\n"s,
        std::string(256, 'x') + "mustard\t1\n"})
    CHECK(io::foreign_kind(start) == "");
}
