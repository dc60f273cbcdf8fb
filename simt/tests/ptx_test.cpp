// Tests the PTX interpreter against the PTX ISA, and its rejections.
#include <cuda_runtime.h>
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "simt/cpu/stream.h"
#include "simt/ptx/block.h"
#include "tests/support/thread_order.h"

namespace {

// Runs code in one block. %rd1 and %rd2 are the parameters `out` and `in`, %r1 the thread; `out` has 32 bits
// per thread.
struct Program {
  std::string code, shared;
  unsigned threads = 32;

  ptx::Kernel kernel() const {
    return ptx::parse(".version 9.0\n" + shared + R"(.entry k(
      .param .u64 k_param_0,
      .param .u64 k_param_1
    )
    {
      .reg .b32 %r<9>;
      ld.param.u64 %rd1, [k_param_0];
      ld.param.u64 %rd2, [k_param_1];
      mov.u32 %r1, %tid.x;
      mul.wide.u32 %rd3, %r1, 4;
      add.s64 %rd4, %rd1, %rd3;
      .loc 1 7 1
      )" + code + "\n      ret;\n}\n")
        .at("k")();
  }

  // Fills `counts` if given.
  std::vector<uint32_t> run(const std::vector<uint32_t>& in = {}, ptx::Counts* counts = nullptr) const {
    const ptx::Kernel kernel = this->kernel();
    uint32_t *d_out = nullptr, *d_in = nullptr;
    REQUIRE(cudaMallocManaged(&d_out, 4 * threads) == cudaSuccess);
    REQUIRE(cudaMallocManaged(&d_in, 4 * in.size() + 4) == cudaSuccess);
    std::memset(d_out, 0, 4 * threads);
    std::copy(in.begin(), in.end(), d_in);
    std::vector<char> parameters(size_t(kernel.parameter_bytes));
    std::memcpy(parameters.data() + kernel.parameters[0].offset, &d_out, 8);
    std::memcpy(parameters.data() + kernel.parameters[1].offset, &d_in, 8);
    if (counts) {
      ptx::Block block(kernel, {1, 1, 1}, {threads, 1, 1}, 0, parameters.data(), true);
      block.run({0, 0, 0}, {simt::Order::forward, 1});
      *counts = block.counts;
    } else {
      ptx::run(kernel, {1, 1, 1}, {threads, 1, 1}, 0, parameters);
    }
    const std::vector<uint32_t> out(d_out, d_out + threads);
    cudaFree(d_out), cudaFree(d_in);
    return out;
  }

  // Error message of the aborting child; forward order, so that the first of two errors is known.
  std::string message() const {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    if (!child) {
      std::signal(SIGABRT, SIG_DFL);
      simt::set_order(simt::Order::forward);
      dup2(ends[1], STDERR_FILENO);
      run();
      _exit(0);
    }
    close(ends[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, size_t(n));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
    return text;
  }
};

const std::string store = "st.global.u32 [%rd4], %r2;";

// Returns %r2 of thread 0 after `code`.
uint32_t value(const std::string& code) { return Program{code + store, ""}.run()[0]; }
uint32_t bits(float x) { return std::bit_cast<uint32_t>(x); }
std::string literal(float x) {
  char text[16];
  std::snprintf(text, sizeof text, "0f%08X", bits(x));
  return text;
}

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  const bool found = text.find(part) != text.npos;
  CHECK(found);
  return found;
}

}  // namespace

TEST_CASE("ptx: integers") {
  CHECK(value("mul.hi.u32 %r2, -1, -1;") == 0xfffffffe);
  CHECK(value("mul.hi.s32 %r2, -1, -1;") == 0);
  CHECK(value("mul.wide.s32 %rd9, -1, 5; shr.u64 %rd9, %rd9, 32; cvt.u32.u64 %r2, %rd9;") == 0xffffffff);
  CHECK(value("mul.wide.u32 %rd9, -1, 5; shr.u64 %rd9, %rd9, 32; cvt.u32.u64 %r2, %rd9;") == 4);
  CHECK(value("shl.b32 %r2, 1, 32;") == 0);
  CHECK(value("shl.b32 %r2, 1, 31;") == 0x80000000);
  CHECK(value("shr.s32 %r2, -8, 40;") == 0xffffffff);
  CHECK(value("shr.u32 %r2, -8, 40;") == 0);
  CHECK(value("bfi.b32 %r2, 5, -1, 4, 3;") == 0xffffffdf);
  CHECK(value("bfi.b32 %r2, 5, -1, 29, 8;") == 0xbfffffff);
  // Products of 16 bits overflow an int; INT_MIN / -1 must not trap.
  CHECK(value("mov.u16 %rs1, 65535; mul.lo.u16 %rs2, %rs1, %rs1; cvt.u32.u16 %r2, %rs2;") == 1);
  CHECK(value("mov.u16 %rs1, 65535; mad.lo.u16 %rs2, %rs1, %rs1, 3; cvt.u32.u16 %r2, %rs2;") == 4);
  CHECK(value("mov.u32 %r3, 0x80000000; div.s32 %r2, %r3, -1;") == 0x80000000);
  CHECK(value("mov.u32 %r3, 0x80000000; rem.s32 %r2, %r3, -1;") == 0);
  CHECK(value("div.s32 %r2, 7, -1;") == uint32_t(-7));
  CHECK(value("div.u32 %r2, 7, -1;") == 0);
  CHECK(value("max.s32 %r2, -1, 1;") == 1);
  CHECK(value("max.u32 %r2, -1, 1;") == 0xffffffff);
  CHECK(value("cvt.s64.s32 %rd9, -2; shr.u64 %rd9, %rd9, 32; cvt.u32.u64 %r2, %rd9;") == 0xffffffff);
  CHECK(value("mov.b64 %rd9, {3, 4}; mov.b64 {%r3, %r2}, %rd9;") == 4);
  CHECK(value("setp.lt.s32 %p1, -1, 1; selp.b32 %r2, 7, 8, %p1;") == 7);
  CHECK(value("setp.lt.u32 %p1, -1, 1; selp.b32 %r2, 7, 8, %p1;") == 8);
  CHECK(value("mov.u32 %r2, 5; setp.eq.s32 %p1, 1, 1; @!%p1 mov.u32 %r2, 6;") == 5);
}

TEST_CASE("ptx: floats round and compare as in IEEE 754, NaN included") {
  const float third = 1.0f / 3, tiny = std::numeric_limits<float>::denorm_min(), inf = INFINITY;
  CHECK(value("fma.rn.f32 %r2, " + literal(third) + ", 0f40400000, 0fBF800000;") ==
        bits(std::fma(third, 3.0f, -1.0f)));
  CHECK(value("fma.rm.f32 %r2, 0f3F800000, 0f3F800000, " + literal(tiny) + ";") == bits(1.0f));
  CHECK(value("fma.rm.f32 %r2, 0f3F800000, 0f3F800000, " + literal(-tiny) + ";") ==
        bits(std::nextafter(1.0f, 0.0f)));
  CHECK(value("ex2.approx.f32 %r2, 0f40400000;") == bits(8));
  CHECK(value("ex2.approx.f32 %r2, 0fC3000000;") == bits(0x1p-128f));
  CHECK(value("ex2.approx.ftz.f32 %r2, 0fC3000000;") == 0);
  CHECK(value("max.f32 %r2, 0f7FC00000, 0f3F800000;") == bits(1));
  CHECK(value("div.approx.f32 %r2, 0f3F800000, 0f7E800000;") == bits(0x1p-126f));
  CHECK(value("div.approx.f32 %r2, 0f3F800000, 0f7E800001;") == 0);
  CHECK(value("cvt.sat.f32.f32 %r2, 0f7FC00000;") == 0);
  CHECK(value("cvt.sat.f32.f32 %r2, " + literal(inf) + ";") == bits(1));
  CHECK(value("cvt.rzi.s32.f64 %r2, 0dC000000000000000;") == uint32_t(-2));
  CHECK(value("cvt.rn.bf16x2.f32 %r2, 0f3F808000, 0f3F818000;") == 0x3f803f82);  // ties to even
  CHECK(value("cvt.rn.bf16x2.f32 %r2, 0f7F7FFFFF, 0f7F800001;") == 0x7f807fff);
  for (const auto& [name, holds] : {std::pair{"eq", 0},
                                    {"ne", 0},
                                    {"lt", 0},
                                    {"ge", 0},
                                    {"equ", 1},
                                    {"neu", 1},
                                    {"ltu", 1},
                                    {"leu", 1},
                                    {"gtu", 1},
                                    {"geu", 1}})
    CHECK(value("setp." + std::string(name) + ".f32 %p1, 0f7FC00000, 0f3F800000; selp.b32 %r2, 1, 0, %p1;") ==
          uint32_t(holds));
}

TEST_CASE("ptx: shuffles keep to their segment") {
  const auto run = [](const std::string& shuffle) {
    return Program{"mov.u32 %r3, 99; shfl.sync." + shuffle +
                       " selp.b32 %r4, 100, 0, %p1; add.s32 %r2, %r2, %r4;" + store,
                   ""}
        .run();
  };
  CHECK(run("bfly.b32 %r2|%p1, %r1, 5, 31, -1;")[9] == 100 + (9 ^ 5));
  const auto down = run("down.b32 %r2|%p1, %r1, 3, 31, -1;");
  CHECK(down[28] == 131);
  CHECK(down[29] == 29);
  const auto up = run("up.b32 %r2|%p1, %r1, 3, 0, -1;");
  CHECK(up[3] == 100);
  CHECK(up[2] == 2);
  CHECK(run("idx.b32 %r2|%p1, %r1, 2, 0x181f, -1;")[13] == 100 + 10);  // 8 lanes: c = (32 - 8) << 8 | 31
}

TEST_CASE("ptx: lanes part and meet again, threads wait for each other, in every order") {
  // Odd threads branch to a loop; the warp's shuffle needs all threads.
  const Program diverging{R"(and.b32 %r3, %r1, 1;
      mov.u32 %r2, 10;
      setp.eq.s32 %p1, %r3, 0;
      @%p1 bra $even;
      mov.u32 %r4, 0;
      $loop:
      add.s32 %r2, %r2, 1;
      add.s32 %r4, %r4, 1;
      setp.lt.s32 %p2, %r4, %r1;
      @%p2 bra $loop;
      $even:
      shfl.sync.bfly.b32 %r5|%p3, %r2, 1, 31, -1;
      add.s32 %r2, %r2, %r5;
      mov.u32 %r6, s;
      shl.b32 %r7, %r1, 2;
      add.s32 %r6, %r6, %r7;
      st.shared.u32 [%r6], %r2;
      bar.sync 0;
      xor.b32 %r6, %r6, 128;
      ld.shared.u32 %r2, [%r6];)" +
                              store,
                          ".shared .align 128 .b8 s[256];\n", 64};
  const auto out = diverging.run();
  for (unsigned t = 0; t < 64; t++) CHECK(out[t] == 20 + ((t ^ 32) | 1));
}

TEST_CASE("ptx: a missing barrier shows in reverse order, and at random for some seeds") {
  const Program forgets{
      "mov.u32 %r2, s; setp.gt.s32 %p1, %r1, 31; @%p1 bra $read; shl.b32 %r3, %r1, 2; add.s32 %r3, %r3, %r2;"
      "st.shared.u32 [%r3], 5; $read: and.b32 %r3, %r1, 31; shl.b32 %r3, %r3, 2; add.s32 %r3, %r3, %r2;"
      "ld.shared.u32 %r2, [%r3];" +
          store,
      ".shared .align 128 .b8 s[128];\n", 64};
  const auto right = [&](simt::Order order, unsigned seed = 1) {
    const warpbert::test::ThreadOrder set({order, seed});
    return forgets.run() == std::vector<uint32_t>(64, 5);
  };
  CHECK(right(simt::Order::forward));
  CHECK_FALSE(right(simt::Order::reverse));
  int wrong = 0;
  for (unsigned seed = 1; seed <= 20; seed++) wrong += !right(simt::Order::random, seed);
  CHECK(wrong > 0);
}

TEST_CASE("ptx: atomics with and without a result add once per lane") {
  const auto out = Program{"red.global.add.u32 [%rd1], 5; atom.global.add.u32 %r2, [%rd1+4], 3;", ""}.run();
  CHECK(out[0] == 5 * out.size());
  CHECK(out[1] == 3 * out.size());
}

TEST_CASE("ptx: cp.async arrives when it is waited for") {
  const std::string begin = R"(add.s64 %rd5, %rd2, 0; mov.u32 %r5, s; st.shared.u32 [%r5+4], 7;
      setp.ne.s32 %p1, %r1, 0; @%p1 bra $end; cp.async.cg.shared.global [%r5], [%rd5], 16;
      cp.async.commit_group;)";
  const std::string end = "ld.shared.u32 %r2, [s+4];" + store + " $end:";
  const Program waits{begin + "cp.async.wait_group 0;" + end, ".shared .align 128 .b8 s[16];\n"};
  const Program forgets{begin + "cp.async.wait_group 1;" + end, ".shared .align 128 .b8 s[16];\n"};
  CHECK(waits.run({1, 2, 3, 4})[0] == 2);
  CHECK(forgets.run({1, 2, 3, 4})[0] == ~0u);  // neither the old 7 nor the new value
}

TEST_CASE("ptx: mma and ldmatrix, by the fragments of the PTX ISA") {
  // a is the 16x16 identity, b(k, j) = 8k + j and c = 1, so d = 1 + b.
  std::vector<uint32_t> in;
  const auto bf16 = [](int x) { return bits(float(x)) >> 16; };
  const auto pair = [&](int low, int high) { return bf16(low) | bf16(high) << 16; };
  for (int lane = 0; lane < 32; lane++) {
    const int g = lane / 4, t = 2 * (lane % 4);
    for (const auto& [row, column] : {std::pair{g, t}, {g + 8, t}, {g, t + 8}, {g + 8, t + 8}})
      in.push_back(pair(row == column, row == column + 1));
    for (const int row : {t, t + 8}) in.push_back(pair(8 * row + g, 8 * (row + 1) + g));
  }
  const std::string code = R"(mul.wide.u32 %rd5, %r1, 24; add.s64 %rd5, %rd5, %rd2;
      ld.global.v2.u32 {%a0, %a1}, [%rd5]; ld.global.v2.u32 {%a2, %a3}, [%rd5+8];
      ld.global.v2.u32 {%b0, %b1}, [%rd5+16];
      mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%d0,%d1,%d2,%d3}, {%a0,%a1,%a2,%a3},
        {%b0,%b1}, {0f3F800000,0f3F800000,0f3F800000,0f3F800000};
      mov.b32 %r2, )";
  for (int r = 0; r < 4; r++) {
    const auto d = Program{code + "%d" + std::to_string(r) + ";" + store, ""}.run(in);
    for (int lane = 0; lane < 32; lane++) {
      const int row = lane / 4 + r / 2 * 8, column = 2 * (lane % 4) + r % 2;
      CHECK(std::bit_cast<float>(d[size_t(lane)]) == 1 + 8 * row + column);
    }
  }
  // Matrix m has element 64m + 8 row + column.
  std::vector<uint32_t> elements(128);
  for (uint32_t e = 0; e < 256; e++) elements[e / 2] |= e << 16 * (e % 2);
  for (const bool transposed : {false, true}) {
    const auto out =
        Program{std::string(
                    R"(mov.u32 %r5, s; shl.b32 %r6, %r1, 4; add.s32 %r5, %r5, %r6; mul.wide.u32 %rd5, %r1, 16;
      add.s64 %rd5, %rd5, %rd2; cp.async.cg.shared.global [%r5], [%rd5], 16; cp.async.commit_group;
      cp.async.wait_group 0; bar.warp.sync -1;
      ldmatrix.sync.aligned.m8n8.x4.)") +
                    (transposed ? "trans." : "") + "shared.b16 {%r3,%r4,%r2,%r6}, [%r5];" + store,
                ".shared .align 128 .b8 s[512];\n"}
            .run(elements);
    for (uint32_t lane = 0; lane < 32; lane++) {
      const uint32_t major = lane / 4, minor = 2 * (lane % 4);
      const uint32_t low = 128 + (transposed ? 8 * minor + major : 8 * major + minor),
                     high = low + (transposed ? 8 : 1);
      CHECK(out[lane] == (high << 16 | low));
    }
  }
}

TEST_CASE("ptx: an mma cuts off what is beyond 24 bits of the largest term") {
  const auto dot = [](float c, std::vector<float> products, const std::string& ones = "0x3F803F80") {
    std::vector<uint32_t> in(2);
    const auto bf16 = [](float x) { return bits(x) >> 16; };
    for (size_t k = 0; k < 2; k++) in[k] = k < products.size() ? bf16(products[k]) : 0;
    const std::string code =
        R"(ld.global.u32 %x, [%rd2]; ld.global.u32 %y, [%rd2+4]; shl.b32 %y, %y, 16; or.b32 %x, %x, %y;
      mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%r2,%d1,%d2,%d3}, {%x,0,0,0}, {)" +
        ones + ",0}, {" + literal(c) + ",0,0,0};" + store;
    // The first element of lane 0. All lanes hold %x, so the row has both products four times, plus c.
    return std::bit_cast<float>(Program{code, ""}.run(in)[0]);
  };
  CHECK(dot(1, {0.5f, 0.25f}) == 4);
  CHECK(dot(0x1p30f, {0x1p4f, 0}) == 0x1p30f);           // 2^4 is below the last kept bit, 2^6
  CHECK(dot(0x1p30f, {0x1p6f, 0}) == 0x1p30f + 0x1p8f);  // rounding after the sum would give the same
  CHECK(dot(-0x1p30f, {-0x1p6f, 0}) == -0x1p30f - 0x1p8f);
  CHECK(dot(0x1p30f, {0x1.8p6f, 0}) == 0x1p30f + 0x1p8f);    // truncates 1.5 · 2^6 to 2^6
  CHECK(dot(0, {0x1p-130f, 0}, "0x3F003F00") == 0x1p-129f);  // by halves: all terms are below 2^-126
  CHECK(std::isinf(dot(0x1.fffffep127f, {0x1p127f, 0})));
  CHECK(std::isnan(dot(NAN, {1, 1})));
}

TEST_CASE("ptx: what a GPU would refuse or answer wrongly is refused, by name and line") {
  CHECK(contains(
      Program{"ld.global.u32 %r2, [%rd1+2];", ""}.message(),
      "kernel k, block (0,0,0), warp 0: misaligned address, lane 0\n  ?:7: ld.global.u32 %r2, [%rd1+2]"));
  CHECK(contains(Program{"ld.global.u32 %r2, [%rd4+4];", ""}.message(), "not memory of the device, lane 31"));
  CHECK(contains(Program{"ld.global.v2.u32 {%r2,%r3}, [%rd1+128];", "", 33}.message(),
                 "beyond the end of an array, lane 0"));
  CHECK(contains(Program{"ld.global.v4.u32 {%r2,%r3,%r4,%r5}, [%rd1+4];", ""}.message(), "misaligned"));
  CHECK(contains(Program{"ld.global.u32 %r2, [%rd3];", ""}.message(), "not memory of the device, lane 0"));
  CHECK(contains(Program{"st.shared.u32 [s+64], %r1;", ".shared .align 128 .b8 s[64];\n"}.message(),
                 "beyond the end of shared memory"));
  const std::string half = "setp.lt.s32 %p1, %r1, 16; @%p1 bra $end; ";
  CHECK(contains(Program{half + "bar.sync 0; $end:", ""}.message(),
                 "no thread can run\n  warp 0, 16 lanes: bar.sync 0 at ?:7\n  warp 0, 16 lanes: returned"));
  CHECK(contains(Program{half + "bar.sync 0; bra $all; $end: bar.sync 0; $all:", ""}.message(),
                 "threads of a block wait at different barriers"));
  CHECK(contains(
      Program{half + "shfl.sync.bfly.b32 %r2|%p2, %r1, 1, 31, -1; bra $all; $end: shfl.sync.bfly.b32 "
                     "%r2|%p2, %r1, 1, 31, -1; $all:",
              ""}
          .message(),
      "no thread can run"));
  CHECK(contains(Program{half + "bra $on; $end: ret; $on: bar.sync 0;", ""}.message(),
                 "lanes have returned that others wait for"));
  CHECK(contains(Program{"shfl.sync.bfly.b32 %r2|%p2, %r1, 1, 31, 0xffff;", ""}.message(),
                 "a lane is not in the mask"));
  CHECK(contains(Program{"setp.lt.s32 %p1, %r1, 16; selp.b32 %r3, -1, 0xffff0000, %p1;"
                         "shfl.sync.bfly.b32 %r2|%p2, %r1, 1, 31, %r3;",
                         ""}
                     .message(),
                 "lanes name different masks"));
  CHECK(contains(Program{"ld.global.nc.u32 %r2, [%rd4]; add.s32 %r2, %r2, 1;" + store, ""}.message(),
                 "ptx: kernel k: reads as constant at ?:7 what it writes at ?:7"));
}

TEST_CASE("ptx: what is not known is refused when it is read") {
  const auto message = [](const std::string& code) {
    try {
      Program{code, ""}.run();
    } catch (const std::exception& e) {
      return std::string(e.what());
    }
    return std::string("none");
  };
  CHECK(message("sin.approx.f32 %r2, %r1;") ==
        "instruction sin.approx.f32 is not known, in: sin.approx.f32 %r2, %r1;");
  CHECK(message("mov.u32 %r2, nowhere;") == "operand nowhere is not known, in: mov.u32 %r2, nowhere;");
  CHECK(message("bra $nowhere;") == "no label $nowhere");
  CHECK(message(".local .align 4 .b8 __local_depot0[8];") ==
        "not known: .local .align 4 .b8 __local_depot0[8], in: .local .align 4 .b8 __local_depot0[8];");
}

TEST_CASE("ptx: counts of instructions, lanes, sectors and passes") {
  using ptx::Counts;
  const auto counted = [](const std::string& code) {
    Counts counts;
    Program{code, ".shared .align 128 .b8 s[4096];\n"}.run(std::vector<uint32_t>(64 * 8), &counts);
    return counts;
  };
  const auto global = [&](const std::string& code) {
    const auto c = counted(code);
    return std::vector<uint64_t>{c.totals[Counts::global_requests], c.totals[Counts::global_sectors],
                                 c.totals[Counts::global_least]};
  };
  using Numbers = std::vector<uint64_t>;
  CHECK(global("add.s64 %rd5, %rd2, %rd3; ld.global.u32 %r2, [%rd5];") == Numbers{1, 4, 4});
  CHECK(global("mul.wide.u32 %rd5, %r1, 32; add.s64 %rd5, %rd5, %rd2; ld.global.v4.u32 {%r2,%r3,%r4,%r5}, "
               "[%rd5];") == Numbers{1, 32, 16});                   // eight floats a lane, by halves
  CHECK(global("ld.global.u32 %r2, [%rd2];") == Numbers{1, 1, 1});  // the same word for all lanes
  CHECK(global("add.s64 %rd5, %rd2, %rd3; ld.global.u16 %r2, [%rd5];") == Numbers{1, 4, 2});

  const auto shared = [&](unsigned stride, const std::string& access) {
    const auto c = counted("mov.u32 %r5, s; mul.lo.s32 %r6, %r1, " + std::to_string(stride) +
                           "; add.s32 %r5, %r5, %r6;" + access);
    return std::vector<uint64_t>{c.totals[Counts::shared_requests], c.totals[Counts::shared_passes],
                                 c.totals[Counts::shared_least]};
  };
  CHECK(shared(4, "st.shared.u32 [%r5], %r1;") == Numbers{1, 1, 1});
  CHECK(shared(8, "st.shared.u32 [%r5], %r1;") == Numbers{1, 2, 1});
  CHECK(shared(128, "st.shared.u32 [%r5], %r1;") == Numbers{1, 32, 1});
  CHECK(shared(0, "ld.shared.u32 %r2, [%r5];") == Numbers{1, 1, 1});
  CHECK(shared(16, "ld.shared.v4.u32 {%r2,%r3,%r4,%r6}, [%r5];") == Numbers{1, 4, 4});
  CHECK(shared(32, "ld.shared.v4.u32 {%r2,%r3,%r4,%r6}, [%r5];") == Numbers{1, 8, 4});

  // Half of the lanes multiply: the warp executes three more instructions.
  const ptx::Kernel none = Program{"", ""}.kernel();
  const std::string half = "setp.lt.s32 %p1, %r1, 16; @%p1 bra $end; mul.f32 %r2, %r1, %r1; $end:";
  const auto c = counted(half), before = counted("");
  // The guard leaves 16 lanes to the branch.
  CHECK(c.totals[Counts::threads] - before.totals[Counts::threads] == 32 + 16 + 16);
  uint64_t instructions = 0;
  for (const uint64_t n : c.executed) instructions += n;
  CHECK(instructions == none.code.size() + 3);
}
