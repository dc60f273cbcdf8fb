#include "engine/processors.h"

#include <doctest/doctest.h>
#include <sched.h>

#include <filesystem>

#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;

TEST_CASE("processors: the least quota of a group and those around it, rounded up") {
  const TemporaryFolder folder;
  const std::string root = folder / "cgroup";
  std::filesystem::create_directories(root + "/a/b");
  const auto quota = [&](const char* group) { return quota_processors(root, group); };
  CHECK(quota("/a/b") == 0);
  CHECK(quota("/") == 0);
  folder.write("cgroup/a/b/cpu.max", "max 100000\n");
  CHECK(quota("/a/b") == 0);
  folder.write("cgroup/a/cpu.max", "250000 100000\n");
  CHECK(quota("/a/b") == 3);
  CHECK(quota("/a") == 3);
  CHECK(quota("/") == 0);
  folder.write("cgroup/a/b/cpu.max", "50000 100000\n");
  CHECK(quota("/a/b") == 1);
  folder.write("cgroup/cpu.max", "200000 100000\n");
  CHECK(quota("/a") == 2);
  CHECK(quota("/") == 2);
}

TEST_CASE("processors: not more than affinity allows") {
  cpu_set_t before, one;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  int first = 0;
  while (!CPU_ISSET(first, &before)) first++;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(available_processors() == 1);
  sched_setaffinity(0, sizeof before, &before);
  CHECK(available_processors() >= 1);
}
