#include "io/text_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "io/error.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;
using namespace std::string_literals;

namespace {

// gzip of "1 2\t3\t1\n".
const std::string packed =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x33"
    "\x54\x30\xe2\x34\xe6\x34\xe4\x02\x00\xad\xf3\x9d\x6c\x08\x00\x00\x00"s;

std::string refusal(const std::string& text) {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", text);
  const std::string message = message_of<io::Error>([&] { io::read_text(path); });
  REQUIRE(message.starts_with(path));
  return message.substr(path.size());
}

}  // namespace

TEST_CASE("text files: plain, with a BOM, and gzip under any name") {
  const TemporaryFolder folder;
  const std::string line = "1 2\t3\t1\n";
  for (const auto& file : {std::pair{line, line},
                           {"\xef\xbb\xbf" + line, line},
                           {"\xef\xbb\xbf"s, ""s},
                           {""s, ""s},
                           {"x"s, "x"s},
                           {"\x1f"s, "\x1f"s},
                           {packed, line},
                           {packed + packed, line + line},           // two members
                           {packed + std::string(700, '\0'), line},  // padding of tapes
                           {std::string(300'000, 'a'), std::string(300'000, 'a')}}) {
    CAPTURE(file.first.size());
    for (const char* name : {"f.tsv", "f.gz"})
      CHECK(io::read_text(folder.write(name, file.first)) == file.second);
  }
}

TEST_CASE("text files: damaged gzip") {
  const std::string said = " is no gzip file, or is damaged (";
  for (const size_t size : {2, 9, 12, 20, 27})
    CHECK(refusal(packed.substr(0, size)) == said + "unexpected end of file)");
  CHECK(refusal(packed + packed.substr(0, 20)) == said + "unexpected end of file)");
  CHECK(refusal(packed + "rest").starts_with(said + "incorrect header check"));
  std::string changed = packed;
  changed[22] ^= 1;  // in the CRC
  CHECK(refusal(changed) == said + "incorrect data check)");
}

TEST_CASE("text files: UTF-16, other formats and ^Z are named") {
  const std::string utf16 = ": is UTF-16; save it as UTF-8 or plain ASCII";
  CHECK(refusal("\xff\xfe"
                "1\0\t\0"s) == utf16);
  CHECK(refusal("\xfe\xff"
                "\0001\0\t"s) == utf16);
  CHECK(refusal("[\0P\0A\0D\0]\0"s) == utf16);  // without BOM
  CHECK(refusal("\0[\0P\0A\0D\0]"s) == utf16);
  CHECK(refusal("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
            .starts_with(": is a Git LFS pointer"));
  CHECK(refusal("<!DOCTYPE html>\n<p>1\t2").starts_with(": is a web page"));
  CHECK(refusal("PK\3\4"s + std::string(26, '\0') + "[Content_Types].xml").starts_with(": is a spreadsheet"));
  CHECK(refusal("PAR1\x15\4\x15\20"s).starts_with(": is a Parquet file"));
  for (const char* end : {"\x1a", "\x1a\r\n", "\x1a "})
    CHECK(refusal("a\nb\n"s + end) ==
          ": line 3: ^Z (byte 0x1a), an end-of-file mark of DOS programs; delete it");
  const TemporaryFolder folder;
  CHECK(io::read_text(folder.write("f", "<html> or xml\t?\n")) == "<html> or xml\t?\n");  // a pair about HTML
}

TEST_CASE("text files: a pipe is read as its bytes come") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const auto write = [&](const std::string& bytes) {
    REQUIRE(::write(ends[1], bytes.data(), bytes.size()) == ssize_t(bytes.size()));
  };
  io::TextFile file("/dev/fd/" + std::to_string(ends[0]));
  CHECK(!file.ready(0));
  write("1\t2\n3");
  CHECK(file.ready(0));
  CHECK(file.read() == "1\t2\n3");
  CHECK(!file.ready(0));
  const auto before = std::signal(SIGALRM, [](int) {});
  const itimerval soon{{0, 0}, {0, 20'000}};
  setitimer(ITIMER_REAL, &soon, nullptr);
  CHECK(!file.ready(200));  // a signal is no byte
  std::signal(SIGALRM, before);
  write("\t4\n");
  CHECK(file.ready(0));
  CHECK(file.read() == "\t4\n");
  close(ends[1]);
  CHECK(file.ready(0));
  CHECK(file.read().empty());
  close(ends[0]);
}
