#include "engine/staging.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <vector>

#include "engine/device.h"

using namespace warpbert;

namespace {

// Simulates the slowest device: a copy executes only when someone waits for it.
class LazyCopier : public Copier {
 public:
  struct Log {
    std::vector<int> waits;  // buffers waited for with a copy pending
    int allocations = 0, held = 0;
    bool full = false;
  };
  explicit LazyCopier(Log& log) : log_(log) {}
  char* allocate(size_t bytes) override {
    if (log_.full) return nullptr;
    log_.allocations++, log_.held++;
    return new char[bytes];
  }
  void free(char* host) override {
    log_.held--;
    delete[] host;
  }
  void copy(int buffer, void* device, const char* host, size_t bytes) override {
    REQUIRE(!pending_[size_t(buffer)]);
    pending_[size_t(buffer)] = [=] { std::memcpy(device, host, bytes); };
  }
  void wait(int buffer) override {
    auto& work = pending_[size_t(buffer)];
    if (!work) return;
    work(), work = nullptr;
    log_.waits.push_back(buffer);
  }

 private:
  Log& log_;
  std::array<std::function<void()>, Staging::buffers> pending_;
};

std::vector<char> values(size_t n, int seed) {
  std::vector<char> v(n);
  for (size_t i = 0; i < n; i++) v[i] = char(i * 7 + size_t(seed) * 31);
  return v;
}

void send(Staging& staging, void* device, const std::vector<char>& v) {
  std::copy(v.begin(), v.end(), staging.next(v.size()));
  staging.send(device, v.size());
}

}  // namespace

TEST_CASE("staging: a buffer is filled again no sooner than its copy is over") {
  LazyCopier::Log log;
  constexpr int sends = 11;
  std::vector<std::vector<char>> device(sends, std::vector<char>(1000));
  {
    Staging staging(std::make_unique<LazyCopier>(log));
    for (int i = 0; i < sends; i++) {
      send(staging, device[size_t(i)].data(), values(i == 6 ? 1000 : 100, i));
      CHECK(log.waits.size() == size_t(std::max(0, i + 1 - Staging::buffers)));  // host is <= 4 copies ahead
    }
    CHECK(log.waits == std::vector<int>{0, 1, 2, 3, 0, 1, 2});
    CHECK(log.allocations == Staging::buffers + 1);  // one buffer grew
    CHECK(log.held == Staging::buffers);
  }
  CHECK(log.waits.size() == sends);  // memory is freed only after all copies
  CHECK(log.held == 0);
  for (int i = 0; i < sends; i++) {
    auto expected = values(i == 6 ? 1000 : 100, i);
    expected.resize(1000);
    CHECK(device[size_t(i)] == expected);
  }
}

TEST_CASE("staging: without memory it says how much was wanted") {
  LazyCopier::Log log;
  Staging staging(std::make_unique<LazyCopier>(log));
  log.full = true;
  CHECK_THROWS_WITH_AS(staging.next(8 << 20),
                       "out of host memory for copies to the device: 10.0 MiB were asked for",
                       std::runtime_error);
  log.full = false;
  CHECK(staging.next(8 << 20));
}

TEST_CASE("staging: copies of a device come in its stream's order") {
  Device device;
  std::vector<DeviceArray<char>> there;
  for (int i = 0; i < 10; i++) {
    there.emplace_back(device, 5000);
    there.back().zero();  // stream order: zeroed before the copy
    send(device.staging(), there.back().data(), values(i % 3 ? 5000 : 17, i));
  }
  for (int i = 0; i < 10; i++) {
    auto expected = values(i % 3 ? 5000 : 17, i);
    expected.resize(5000);
    CHECK(there[size_t(i)].download() == expected);
  }
}
