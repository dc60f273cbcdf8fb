#include "engine/algorithm_cache.h"

#include <doctest/doctest.h>

#include "engine/device.h"
#include "engine/gemm.h"
#include "tests/support/buffer.h"
#include "tests/support/temporary.h"

using namespace warpbert;
using namespace warpbert::test;
using Input = GemmKey::Input;

namespace {

const GemmKey forward{1024, 3072, 768, 768, 768, 3072, Input::bf16, DType::bf16, false, true, 256};
const GemmKey weight{3072, 768, 1024, 3072, 768, 768, Input::tf32, DType::f32, true, false, 16};
const GemmAlgorithm first{{0, 1, 0xffffffffffffffff, 0x0123456789abcdef, 4, 5, 6, 7}, 7.31}, second{{8}, 0};
const GemmCache cache = {{"NVIDIA H200, sm_90; cuBLASLt 130100", {{forward, first}, {weight, second}}},
                         {"another, sm_80", {{forward, second}}}};

std::string refusal(const std::string& text) {
  return message_of<std::runtime_error>([&] { parse_gemm_cache(text); });
}

}  // namespace

TEST_CASE("algorithm cache: a file gives back what was written, of every environment") {
  const std::string text = gemm_cache_text(cache);
  CHECK(parse_gemm_cache(text) == cache);
  CHECK(parse_gemm_cache(gemm_cache_text({})) == GemmCache{});
  CHECK(text.find("\n1024 3072 768 768 768 3072 bf16 bf16 nt 256 7.31 "
                  "00000000000000000000000000000001ffffffffffffffff0123456789abcdef"
                  "0000000000000004000000000000000500000000000000060000000000000007\n") != text.npos);
  CHECK(text.find("\n3072 768 1024 3072 768 768 tf32 fp32 tn 16 0.00 0000000000000008") != text.npos);
}

TEST_CASE("algorithm cache: what is not equal in everything is another product") {
  std::map<GemmKey, GemmAlgorithm> choices{{forward, first}};
  const auto changed = [&](auto change) {
    GemmKey p = forward;
    change(p);
    return choices.count(p);
  };
  CHECK(changed([](GemmKey&) {}) == 1);
  for (int GemmKey::*size : {&GemmKey::m, &GemmKey::n, &GemmKey::k, &GemmKey::lda, &GemmKey::ldb,
                             &GemmKey::ldc, &GemmKey::alignment})
    CHECK(changed([&](GemmKey& p) { p.*size += 8; }) == 0);
  CHECK(changed([](GemmKey& p) { p.input = Input::fp32; }) == 0);
  CHECK(changed([](GemmKey& p) { p.output = DType::f32; }) == 0);
  CHECK(changed([](GemmKey& p) { p.transpose_a = true; }) == 0);
  CHECK(changed([](GemmKey& p) { p.transpose_b = false; }) == 0);
}

TEST_CASE("algorithm cache: a damaged file is refused, wherever the damage is") {
  const std::string text = gemm_cache_text(cache);
  for (size_t at = 0; at < text.size(); at++) {
    std::string damaged = text;
    damaged[at] ^= 1;
    CHECK_THROWS_AS(parse_gemm_cache(damaged), std::runtime_error);
    CHECK_THROWS_AS(parse_gemm_cache(text.substr(0, at)), std::runtime_error);
  }
  CHECK_THROWS_AS(parse_gemm_cache(text + "more\n"), std::runtime_error);
}

TEST_CASE("algorithm cache: what is wrong is said with its line") {
  const std::string algorithm(128, '0'), good = "8 8 8 8 8 8 bf16 bf16 nt 256 7.31 ";
  CHECK(refusal("") == "line 1: the file ends early");
  CHECK(refusal("# text\n[a]\n") == "line 3: the file ends early");
  CHECK(refusal(good + algorithm) == "line 1: no [environment] before it");
  const std::string sizes = "8 8 8 8 8 8 ";
  for (const std::string& line :
       {std::string("1 2 3"), good + "0g", good + std::string(127, '0') + "g", good + algorithm + "0",
        good + algorithm + " more", "8 8 8 8 0 8 bf16 bf16 nt 256 7.31 " + algorithm,
        "8 8 8 8 2147483648 8 bf16 bf16 nt 256 7.31 " + algorithm,
        sizes + "int8 bf16 nt 256 7.31 " + algorithm, sizes + "bf16 int8 nt 256 7.31 " + algorithm,
        sizes + "bf16 bf16 tnt 256 7.31 " + algorithm, sizes + "bf16 bf16 nt 0 7.31 " + algorithm,
        sizes + "bf16 bf16 nt 256 fast " + algorithm})
    CHECK(refusal("[a]\n" + line + "\n") == "line 2: not a product and its algorithm");
  CHECK(refusal("[a]\n" + good + algorithm + "\nend 1 0000000000000000\n") ==
        "line 3: the checksum is of another text");
}

// On a GPU all Gemms of a device share tuned algorithms, and a restored algorithm gives the same bits.
// The simulator has nothing to tune.
TEST_CASE("algorithm cache: a device's Gemms share them, and a stored choice gives the same bits") {
  Device device;
  device.algorithm_cache().tuning = true;
  const int m = 192, n = 128, k = 320;
  std::vector<float> a(size_t(m) * k), b(size_t(n) * k);
  for (size_t i = 0; i < a.size(); i++) a[i] = float(i * 2654435761u % 2001) / 1000 - 1;
  for (size_t i = 0; i < b.size(); i++) b[i] = float(i * 2246822519u % 2001) / 1000 - 1;
  DeviceArray<float> da(device, a), db(device, b), dc(device, size_t(m) * n);
  const auto product = [&](kernels::Stream stream) {
    Gemm gemm(device, Precision::fp32, stream);
    device.fork();
    gemm.multiply({kernels::view(dc.data(), {m}, n), kernels::view(da.data(), {m}, k),
                   transposed(kernels::view(db.data(), {n}, k))});
    device.join();
    return dc.download();
  };
  const auto by_the_stream = product(device.stream());
  const auto& chosen = device.algorithm_cache().chosen;
  CHECK(chosen.size() == (Device::is_gpu() ? 1 : 0));
  if (Device::is_gpu()) CHECK(chosen.begin()->second.microseconds > 0);
  const auto first_choice = chosen;
  CHECK(product(device.side_stream()) == by_the_stream);
  CHECK(chosen == first_choice);
  AlgorithmCache restored;
  restored.chosen = parse_gemm_cache(gemm_cache_text({{"here", chosen}}))["here"];
  device.algorithm_cache() = restored;
  CHECK(product(device.stream()) == by_the_stream);
  CHECK(chosen == restored.chosen);
  Worst worst;
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++) {
      double sum = 0;
      for (int t = 0; t < k; t++) sum += double(a[size_t(i) * k + t]) * b[size_t(j) * k + t];
      worst.add(by_the_stream[size_t(i) * n + j] - sum, 0);
    }
  CHECK(worst.value < 1e-4);  // 320 products of at most 1, each rounded by 2⁻²⁴
}
