#include "engine/launch_profile.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "engine/device.h"
#include "engine/gemm.h"

using namespace warpbert;

TEST_CASE("launch profile: the table of given launches") {
  LaunchTable table;
  for (int i = 0; i < 4; i++) table.add("gelu_kernel<float>", 100e-6, 0, 0);
  for (int i = 0; i < 2; i++) table.add("gemm bf16 [8, 8] of 16 terms", i ? 200e-6 : 400e-6, 3e9, 12e6);
  CHECK(table.seconds() == doctest::Approx(1e-3).epsilon(1e-15).scale(0));  // at most five roundings of 2⁻⁵³
  CHECK(
      table.text(2) ==
      "kernel                       launches/step    mean µs   share        MB     GB/s     GFLOP  TFLOP/s\n"
      "gemm bf16 [8, 8] of 16 terms           1.0      300.0   60.0%     12.00     40.0     3.000   10.000\n"
      "gelu_kernel<float>                     2.0      100.0   40.0%         -        -         -        "
      "-\n");
}

TEST_CASE("launch profile: what is launched between start and stop, in either stream") {
  Device device;
  DeviceArray<float> a(device, 64 * 32), b(device, 32 * 64), c(device, 64 * 64);
  a.zero(), b.zero();
  Gemm gemm(device, Precision::fp32), side(device, Precision::fp32, device.side_stream());
  const auto work = [&](Gemm& g, bool accumulate) {
    g.multiply({kernels::view(c.data(), {64}, 64), kernels::view(a.data(), {64}, 32),
                kernels::view(b.data(), {32}, 64), accumulate ? Grad::accumulate : Grad::overwrite});
  };
  work(gemm, false);  // not profiled
  device.synchronize();
  LaunchProfile profile;
  for (int step = 0; step < 2; step++) {
    profile.start();
    work(gemm, false);
    device.fork();
    work(side, true);
    device.join();
    profile.stop();
    CHECK(simt::launch_observer == nullptr);
    work(gemm, false);  // not profiled
    device.synchronize();
  }
  const std::string text = profile.table().text(2);
  CAPTURE(text);
  CHECK(profile.table().seconds() > 0);
  CHECK(text.find("\ngemm fp32 [64, 64] of 32 terms ") != std::string::npos);
  CHECK(text.find("\ngemm fp32 [64, 64] of 32 terms, added ") != std::string::npos);
  CHECK(std::count(text.begin(), text.end(), '\n') == 3);
  const size_t added = text.find(", added ");  // 64·32·2 floats read, 64·64 read and written; 2·64·64·32 FLOP
  const std::string row = text.substr(added, text.find('\n', added) - added);
  CHECK(row.find(" 1.0 ") != std::string::npos);
  CHECK(row.find(" 0.05 ") != std::string::npos);   // MB
  CHECK(row.find(" 0.000 ") != std::string::npos);  // GFLOP
}
