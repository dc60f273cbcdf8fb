// doctest main with --simt-order=forward|reverse|random, the simulator's thread and block order.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>

int main(int argc, char** argv) {
  for (int i = 1; i < argc; i++)
    if (!std::strncmp(argv[i], "--simt-order=", 13)) setenv("SIMT_ORDER", argv[i] + 13, 1);
  return doctest::Context(argc, argv).run();
}
