// CPU matrix products. fp32: OpenBLAS. bf16: oneDNN with AVX-512, else OpenBLAS on fp32 copies (oneDNN 2.6
// rejects bf16 there).
//
// Multithreaded BLAS gives other bits for other thread counts; hence the tiles (gemm.h), which the
// simulator's workers share.
#include <algorithm>
#include <dnnl.hpp>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "engine/cpu/openblas.h"
#include "engine/device.h"
#include "engine/gemm.h"
#include "simt/cpu/memory.h"
#include "simt/cpu/pool.h"
#include "simt/cpu/stream.h"

// Distributions build oneDNN with GCC's OpenMP, whatever compiler builds this file.
extern "C" void omp_set_num_threads(int threads);

namespace warpbert {
namespace {

// c [m, n] = op(a)·op(b), or +=; pointers to the tile's corners.
struct Tile {
  int m, n, k;
  void *c, *a, *b;
  int ldc, lda, ldb;
  bool transpose_a, transpose_b, accumulate;
};

void multiply_fp32(const OpenBlas& blas, const Tile& t) {
  blas.sgemm(CblasRowMajor, t.transpose_a ? CblasTrans : CblasNoTrans,
             t.transpose_b ? CblasTrans : CblasNoTrans, t.m, t.n, t.k, 1, static_cast<float*>(t.a), t.lda,
             static_cast<float*>(t.b), t.ldb, t.accumulate ? 1 : 0, static_cast<float*>(t.c), t.ldc);
}

// Multiplies a tile of one row or column. oneDNN 3.7 takes such a matrix for contiguous, whatever its leading
// dimension.
void multiply_vector(const Tile& t, DType result) {
  const auto* a = static_cast<const bf16*>(t.a);
  const auto* b = static_cast<const bf16*>(t.b);
  for (int i = 0; i < t.m; i++)
    for (int j = 0; j < t.n; j++) {
      double sum = 0;
      for (int k = 0; k < t.k; k++)
        sum += double(to_float(a[t.transpose_a ? size_t(k) * t.lda + i : size_t(i) * t.lda + k])) *
               double(to_float(b[t.transpose_b ? size_t(j) * t.ldb + k : size_t(k) * t.ldb + j]));
      const size_t at = size_t(i) * t.ldc + j;
      if (result == DType::f32) {
        float& c = static_cast<float*>(t.c)[at];
        c = float(sum + (t.accumulate ? c : 0));
      } else {
        bf16& c = static_cast<bf16*>(t.c)[at];
        c = to_bf16(float(sum + (t.accumulate ? to_float(c) : 0)));
      }
    }
}

// oneDNN compiles code per shape; each worker caches its own.
class Dnnl {
 public:
  void multiply_bf16(const Tile& t, DType result) {
    using dnnl::memory;
    const Key key{t.m, t.n, t.k, t.lda, t.ldb, t.ldc, t.transpose_a, t.transpose_b, t.accumulate, result};
    auto found = made_.find(key);
    if (found == made_.end()) require_memory();
    try {
      if (found == made_.end()) found = made_.emplace(key, dnnl::matmul(describe(t, result))).first;
      const auto d = describe_operands(t, result);
      memory a(d.a, engine(), t.a), b(d.b, engine(), t.b), c(d.c, engine(), t.c);
      found->second.execute(stream_, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
      stream_.wait();
    } catch (const std::exception& error) {
      require_memory();  // the likely cause
      throw std::runtime_error(std::string("oneDNN: ") + error.what());
    }
  }

  static bool has_bf16() {
    require_memory();
    try {
      describe({16, 16, 16, nullptr, nullptr, nullptr, 16, 16, 16, false, false, false}, DType::bf16);
      return true;
    } catch (const dnnl::error&) {
      return false;
    }
  }

 private:
  // oneDNN 2.6 crashes if it gets no memory for code that it compiles. Asks first, for several times as much.
  static void require_memory() {
    constexpr size_t bytes = size_t(32) << 20;
    simt::require_memory(bytes, "oneDNN", bytes);
  }

  using Key = std::tuple<int, int, int, int, int, int, bool, bool, bool, DType>;
  struct Operands {
    dnnl::memory::desc a, b, c;
  };

  static dnnl::engine& engine() {
    static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    return engine;
  }
  static Operands describe_operands(const Tile& t, DType result) {
    using dnnl::memory;
    const auto matrix = [](int rows, int cols, int ld, bool transpose, DType dtype) {
      const auto type = dtype == DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32;
      return memory::desc({rows, cols}, type, transpose ? memory::dims{1, ld} : memory::dims{ld, 1});
    };
    return {matrix(t.m, t.k, t.lda, t.transpose_a, DType::bf16),
            matrix(t.k, t.n, t.ldb, t.transpose_b, DType::bf16), matrix(t.m, t.n, t.ldc, false, result)};
  }
  static dnnl::matmul::primitive_desc describe(const Tile& t, DType result) {
    const auto d = describe_operands(t, result);
    dnnl::primitive_attr attributes;
    if (t.accumulate) {
      dnnl::post_ops sum;
      sum.append_sum(1.0f);
      attributes.set_post_ops(sum);
    }
#if DNNL_VERSION_MAJOR >= 3
    return {engine(), d.a, d.b, d.c, attributes};
#else
    return {dnnl::matmul::desc(d.a, d.b, d.c), attributes, engine()};
#endif
  }

  static dnnl::stream make_stream() {
    require_memory();
    omp_set_num_threads(1);  // for this worker's calls
    return dnnl::stream(engine());
  }

  dnnl::stream stream_ = make_stream();
  std::map<Key, dnnl::matmul> made_;
};

// Tiles of at most 256 × 512, halved until there are eight or they are too small to be worth a call.
struct Tiling {
  int m, n;
};
Tiling tiling(const GemmShape& s) {
  Tiling t{std::min(s.m, 256), std::min(s.n, 512)};
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
  const OpenBlas* blas = nullptr;
  bool dnnl_bf16 = false;
  std::vector<float> a, b, c;  // fp32 operands where oneDNN lacks bf16

  void multiply(GemmArgs args);

  // fp32 copy of x; values only if `load`.
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

Gemm::Gemm(Device& device, Precision precision, kernels::Stream stream)
    : library_(std::make_unique<Library>()) {
  library_->blas = &load_openblas(simt::workers());
  library_->stream = stream ? stream : device.stream();
  library_->dnnl_bf16 = precision == Precision::bf16 && Dnnl::has_bf16();
}

Gemm::~Gemm() = default;

std::string Gemm::library() { return "OpenBLAS and oneDNN"; }

void Gemm::multiply(const GemmArgs& args) {
  gemm_shape(args);  // rejects shapes at the call
  std::string name;
  const simt::Observed observed([&] { return gemm_launch(name, args, library_->stream); });
  simt::enqueue(library_->stream, [=, library = library_.get()] { library->multiply(args); });
}

void Gemm::Library::multiply(GemmArgs args) {
  const GemmShape shape = gemm_shape(args);
  View &a = args.a.view, &b = args.b.view, &c = args.c;
  const View target = c;
  const bool bf16_operands = a.dtype == DType::bf16, copied = bf16_operands && !dnnl_bf16,
             accumulate = args.mode == Grad::accumulate;
  if (copied) {
    a = to_fp32(a, this->a, true), b = to_fp32(b, this->b, true);
    if (c.dtype == DType::bf16) c = to_fp32(c, this->c, accumulate);
  }
  const Tiling size = tiling(shape);
  const int across = (shape.n + size.n - 1) / size.n, down = (shape.m + size.m - 1) / size.m;
  const auto corner = [](const View& x, size_t row, size_t column) -> void* {
    return static_cast<char*>(x.data) + (row * x.ld + column) * size_of(x.dtype);
  };
  simt::parallel_for(across * down, [&](int i) {
    const int row = i / across * size.m, column = i % across * size.n;
    const Tile tile{std::min(size.m, shape.m - row),
                    std::min(size.n, shape.n - column),
                    shape.k,
                    corner(c, row, column),
                    args.a.transposed ? corner(a, 0, row) : corner(a, row, 0),
                    args.b.transposed ? corner(b, column, 0) : corner(b, 0, column),
                    c.ld,
                    a.ld,
                    b.ld,
                    args.a.transposed,
                    args.b.transposed,
                    accumulate};
    if (!bf16_operands || copied) {
      multiply_fp32(*blas, tile);
    } else if (tile.m == 1 || tile.n == 1) {
      multiply_vector(tile, c.dtype);
    } else {
      thread_local Dnnl dnnl;
      dnnl.multiply_bf16(tile, c.dtype);
    }
  });
  if (copied && target.dtype == DType::bf16) round(target, this->c);
}

}  // namespace warpbert
