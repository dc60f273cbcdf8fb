// CPU matrix products by oneDNN's fp32 GEMM. bf16 operands become fp32 copies: products are exact, and CPUs
// without a matrix unit multiply fp32 as fast. Threads of oneDNN would change bits with their number; hence
// the tiles.
#include <dnnl.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/gemm.h"
#include "simt/cpu/memory.h"
#include "simt/cpu/pool.h"
#include "simt/cpu/stream.h"

// Distributions build oneDNN with GCC's OpenMP, whatever compiler builds this file.
extern "C" void omp_set_num_threads(int threads);

namespace warpbert {
namespace {

// c = op(a)·op(b), or +=; pointers to the tile's corners.
struct Tile {
  int m, n, k;
  float *c, *a, *b;
  int ldc, lda, ldb;
  bool transpose_a, transpose_b, accumulate;
};

// Throws early: out of memory, oneDNN fails and its version 2.6 crashes.
void require_memory() {
  constexpr size_t bytes_per_thread = size_t(32) << 20;
  simt::require_memory(bytes_per_thread * simt::workers(), "oneDNN", bytes_per_thread);
}

void multiply(const Tile& t) {
  omp_set_num_threads(1);  // for this thread
  const auto status = dnnl_sgemm(t.transpose_a ? 'T' : 'N', t.transpose_b ? 'T' : 'N', t.m, t.n, t.k, 1, t.a,
                                 t.lda, t.b, t.ldb, t.accumulate ? 1 : 0, t.c, t.ldc);
  if (status == dnnl_success) return;
  require_memory();  // the likely cause
  throw std::runtime_error("oneDNN: dnnl_sgemm returns status " + std::to_string(status));
}

// Lets oneDNN compile its kernels while no other thread takes memory.
void compile_kernels() {
  require_memory();
  constexpr int n = 48;
  std::vector<float> a(n * n), c(n * n);
  for (int variant = 0; variant < 8; variant++)
    multiply({n, n, n, c.data(), a.data(), a.data(), n, n, n, (variant & 1) != 0, (variant & 2) != 0,
              variant >= 4});
}

// Tiles of at most 256 × 768, halved until there are eight or they are too small to be worth a call. oneDNN's
// inner loop for AVX-512 computes 48 columns.
struct Tiling {
  int m, n;
};
Tiling tiling(const GemmShape& s) {
  Tiling t{std::min(s.m, 256), std::min(s.n, 768)};
  const auto count = [&] { return ((s.m + t.m - 1) / t.m) * ((s.n + t.n - 1) / t.n); };
  while (count() < 8 && std::max(t.m, t.n) > 64) {
    int& longer = t.n >= t.m ? t.n : t.m;
    longer = (longer / 2 + 15) / 16 * 16;
  }
  return t;
}

}  // namespace

struct Gemm::Library {
  kernels::Stream stream = nullptr;
  std::vector<float> a, b, c;  // of bf16 operands

  void multiply(GemmArgs args);

  // Copies values only if `load`.
  static View to_fp32(const View& x, std::vector<float>& scratch, bool load) {
    scratch.resize(size_t(x.rows.capacity) * x.cols);
    if (load)
      simt::parallel_for(x.rows.capacity, [&](int row) {
        const bf16* from = static_cast<const bf16*>(x.data) + size_t(row) * x.ld;
        std::transform(from, from + x.cols, scratch.begin() + size_t(row) * x.cols,
                       [](bf16 v) { return to_float(v); });
      });
    return kernels::view(scratch.data(), x.rows, x.cols);
  }
  static void round(const View& x, const std::vector<float>& scratch) {
    simt::parallel_for(x.rows.capacity, [&](int row) {
      const float* from = scratch.data() + size_t(row) * x.cols;
      std::transform(from, from + x.cols, static_cast<bf16*>(x.data) + size_t(row) * x.ld,
                     [](float v) { return to_bf16(v); });
    });
  }
};

Gemm::Gemm(Device& device, Precision, kernels::Stream stream) : library_(std::make_unique<Library>()) {
  library_->stream = stream ? stream : device.stream();
  static const bool compiled = (compile_kernels(), true);
  (void)compiled;
}

Gemm::~Gemm() = default;

std::string Gemm::library() { return "oneDNN"; }

void Gemm::multiply(const GemmArgs& args) {
  gemm_shape(args);
  std::string name;
  const simt::Observed observed([&] { return gemm_launch(name, args, library_->stream); });
  simt::enqueue(library_->stream, [=, library = library_.get()] { library->multiply(args); });
}

void Gemm::Library::multiply(GemmArgs args) {
  const GemmShape shape = gemm_shape(args);
  View &a = args.a.view, &b = args.b.view, &c = args.c;
  const View target = c;
  const bool accumulate = args.mode == Grad::accumulate;
  if (a.dtype == DType::bf16) a = to_fp32(a, this->a, true), b = to_fp32(b, this->b, true);
  if (c.dtype == DType::bf16) c = to_fp32(c, this->c, accumulate);
  const Tiling size = tiling(shape);
  const int across = (shape.n + size.n - 1) / size.n, down = (shape.m + size.m - 1) / size.m;
  const auto corner = [](const View& x, int row, int column) {
    return static_cast<float*>(x.data) + size_t(row) * x.ld + column;
  };
  simt::parallel_for(across * down, [&](int i) {
    const int row = i / across * size.m, column = i % across * size.n;
    warpbert::multiply({std::min(size.m, shape.m - row), std::min(size.n, shape.n - column), shape.k,
                        corner(c, row, column), args.a.transposed ? corner(a, 0, row) : corner(a, row, 0),
                        args.b.transposed ? corner(b, column, 0) : corner(b, 0, column), c.ld, a.ld, b.ld,
                        args.a.transposed, args.b.transposed, accumulate});
  });
  if (target.dtype == DType::bf16) round(target, this->c);
}

}  // namespace warpbert
