#include "io/atomic_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "io/error.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

TEST_CASE("atomic file: appears at commit, not before, and leaves nothing beside it") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a", "old");
  {
    io::AtomicFile file(path);
    file.write("hello ");
    file.write("World");
    CHECK(file.position() == 11);
    file.seek(6);
    file.write("w");
    CHECK(contents(path) == "old");
    file.commit();
    CHECK(contents(path) == "hello world");
  }
  CHECK(contents(path) == "hello world");
  CHECK(folder.count_files() == 1);
}

TEST_CASE("atomic file: without commit the older file stays") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a", "old");
  { io::AtomicFile(path).write("half of the n"); }
  CHECK(contents(path) == "old");
  CHECK(folder.count_files() == 1);
}

TEST_CASE("atomic file: files and links of similar names are nobody's temporaries") {
  const TemporaryFolder folder;
  folder.write("a.tmp", "precious"), folder.write("victim", "untouched");
  std::filesystem::create_symlink("victim", folder / "b.tmp");
  io::write_file_atomically(folder / "a", "new");
  io::write_file_atomically(folder / "b", "new");
  CHECK(contents(folder / "a.tmp") == "precious");
  CHECK(contents(folder / "victim") == "untouched");
  CHECK(folder.count_files() == 5);
}

TEST_CASE("atomic file: two writers of one file, the later commit wins") {
  const TemporaryFolder folder;
  const std::string path = folder / std::string(240, 'n');  // a name that leaves little room
  io::AtomicFile one(path), two(path);
  one.write("one"), two.write("two");
  two.commit(), one.commit();
  CHECK(contents(path) == "one");
  CHECK(folder.count_files() == 1);
}

TEST_CASE("atomic file: the mode of a replaced file stays") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a", "secret");
  chmod(path.c_str(), 0600);
  io::write_file_atomically(path, "still secret");
  struct stat status;
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("atomic file: left-overs of killed processes are removed, and nothing else") {
  const TemporaryFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    io::AtomicFile killed(folder / "a.npz");
    killed.write("half");
    _exit(0);
  }
  REQUIRE(waitpid(child, nullptr, 0) == child);
  io::AtomicFile living(folder / "b.npz");
  folder.write("b.npz", ""), folder.write("c.npz.tmp", ""), folder.write("x.warpbert-.tmp", "");
  REQUIRE(folder.count_files() == 5);
  io::remove_left_overs(folder / "");
  CHECK(folder.count_files() == 4);
  living.commit();
  io::remove_left_overs(folder / "none");
}

TEST_CASE("atomic file: a write that stops half way is an error, and nothing is lost") {
  const TemporaryFolder folder;
  const std::string path = folder.write("a", "precious");
  std::string message;
  {
    const FileSizeLimit limit(1000);
    message = message_of<io::Error>([&] { io::write_file_atomically(path, std::string(5000, 'x')); });
  }
  CHECK(message == path + ": cannot be written: File too large");
  CHECK(contents(path) == "precious");
  CHECK(folder.count_files() == 1);
}

TEST_CASE("atomic file: a symbolic link stays, and leads to the new file") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "d");
  folder.write("d/a", "old");
  std::filesystem::create_symlink("d/a", folder / "link");
  std::filesystem::create_symlink(folder / "link", folder / "second");
  io::write_file_atomically(folder / "second", "new");
  CHECK(contents(folder / "d/a") == "new");
  std::filesystem::create_symlink("d/none", folder / "dangling");
  io::write_file_atomically(folder / "dangling", "made");
  CHECK(contents(folder / "d/none") == "made");
  for (const char* name : {"link", "second", "dangling"}) CHECK(std::filesystem::is_symlink(folder / name));
  CHECK(folder.count_files() == 4);

  std::filesystem::create_symlink("circle", folder / "circle");
  CHECK(message_of<io::Error>([&] { io::write_file_atomically(folder / "circle", "x"); }) ==
        folder / "circle" + ": cannot be written: Too many levels of symbolic links");
}

TEST_CASE("atomic file: what is no file is written to, and stays what it is") {
  const TemporaryFolder folder;
  const std::string pipe = folder / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  std::string read;
  std::thread reader([&] { read = contents(pipe); });
  io::write_file_atomically(pipe, "through the pipe");
  reader.join();
  CHECK(read == "through the pipe");
  CHECK(std::filesystem::is_fifo(pipe));
  CHECK(folder.count_files() == 1);

  std::thread second([&] { read = contents(pipe); });
  CHECK(message_of<io::Error>([&] {
          io::AtomicFile file(pipe);
          file.position();
        }) == pipe + ": cannot be written: Illegal seek; this needs a file");
  second.join();
  CHECK(message_of<io::Error>([&] { io::write_file_atomically("/dev/full", "x"); }) ==
        "/dev/full: cannot be written: No space left on device; free some space and start again");
  CHECK(std::filesystem::is_character_file("/dev/full"));
}

TEST_CASE("atomic file: where it cannot be") {
  const TemporaryFolder folder;
  const auto refused = [](const std::string& path) {
    return message_of<io::Error>([&] { io::write_file_atomically(path, "x"); });
  };
  CHECK(refused(folder / "none/a") ==
        folder / "none/a" + ": cannot be written: No such file or directory; its folder does not exist");
  folder.write("file", "");
  CHECK(refused(folder / "file/a") ==
        folder / "file/a" + ": cannot be written: Not a directory; its folder does not exist");
  std::filesystem::create_directory(folder / "d");
  CHECK(refused(folder / "d") == folder / "d" + ": cannot be written: Is a directory");
  std::filesystem::permissions(folder / "d",
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  if (geteuid() != 0)  // root ignores permissions
    CHECK(refused(folder / "d/a") ==
          folder / "d/a" + ": cannot be written: Permission denied; choose a folder you may write to");
}

TEST_CASE("atomic file: respects the umask, and a path without a folder") {
  const TemporaryFolder folder;
  const auto home = std::filesystem::current_path();
  std::filesystem::current_path(folder / "");
  const mode_t before = umask(027);
  io::write_file_atomically("a", "x");
  umask(before);
  std::filesystem::current_path(home);
  struct stat status;
  REQUIRE(stat((folder / "a").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
}
