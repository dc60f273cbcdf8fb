// Fake cuBLASLt over the simulator's streams (runtime.cpp), with GEMMs by oneDNN in fp32. Its heuristic
// offers every kind of algorithm that cuBLASLt may return, including those that autotuning must reject.
#include <cublasLt.h>
#include <dnnl.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "send.h"
#include "simt/bf16.h"

// Distributions build oneDNN with GCC's OpenMP, whatever compiler builds this file.
extern "C" void omp_set_num_threads(int threads);

namespace {

using warpbert::bf16;

struct Operation {
  cublasComputeType_t compute;
  bool transpose_a = false, transpose_b = false;
};
struct Layout {
  cudaDataType type;
  int rows, columns, ld;
};
struct Preference {
  uint64_t workspace = 0;
  uint32_t alignment[4] = {256, 256, 256, 256};  // bytes, for A, B, C and D
};

// Accesses the T inside an opaque library struct.
template <class T, class Opaque>
T& inside(Opaque* opaque) {
  static_assert(sizeof(T) <= sizeof(Opaque));
  return *reinterpret_cast<T*>(opaque);
}
template <class T, class Opaque>
const T& inside(const Opaque* opaque) {
  return *reinterpret_cast<const T*>(opaque);
}

// Sums of an element's K products. Kinds that must not be chosen are fastest, and compute nothing.
enum class Kind : uint32_t {
  split,     // two halves, the first summed into the workspace by its own kernel
  whole,     // one sum
  in_place,  // accumulates in C (CUBLASLT_REDUCTION_SCHEME_INPLACE)
  unsteady,  // different bits each time
  refused,   // offered, but does not run
  count
};
struct Algorithm {
  uint32_t magic = 0x57415250;
  Kind kind = Kind::whole;
  uint32_t alignment[4] = {};  // required, in bytes
};

size_t size_of(cudaDataType type) { return type == CUDA_R_16BF ? 2 : 4; }
size_t workspace_of(Kind kind, const Layout& c) {
  return kind == Kind::split ? size_t(c.rows) * size_t(c.columns) * sizeof(float) : 0;
}

// Loads a column-major matrix as packed fp32.
std::vector<float> load(const void* p, const Layout& x) {
  std::vector<float> values(size_t(x.rows) * size_t(x.columns));
  for (size_t column = 0; column < size_t(x.columns); column++)
    for (size_t row = 0; row < size_t(x.rows); row++) {
      const size_t from = column * size_t(x.ld) + row;
      values[column * size_t(x.rows) + row] = x.type == CUDA_R_16BF
                                                  ? warpbert::to_float(static_cast<const bf16*>(p)[from])
                                                  : static_cast<const float*>(p)[from];
    }
  return values;
}
void store(void* p, const Layout& x, const std::vector<float>& values) {
  for (size_t column = 0; column < size_t(x.columns); column++)
    for (size_t row = 0; row < size_t(x.rows); row++) {
      const size_t to = column * size_t(x.ld) + row;
      const float value = values[column * size_t(x.rows) + row];
      if (x.type == CUDA_R_16BF) static_cast<bf16*>(p)[to] = warpbert::to_bf16(value);
      else static_cast<float*>(p)[to] = value;
    }
}

struct Product {
  Operation operation;
  Layout left, right, result;
  const void *a, *b;
  void* c;
  float beta;

  int terms() const { return operation.transpose_a ? left.rows : left.columns; }

  // sums [m, n] += op(A)·op(B) over the terms [begin, end).
  void add(float* sums, int begin, int end) const {
    const auto x = load(a, left), y = load(b, right);
    const auto offset = [&](bool along_rows, const Layout& l) { return along_rows ? begin : begin * l.rows; };
    // Column-major matrices are the transposes of row-major ones: Cᵀ = op(B)ᵀ·op(A)ᵀ.
    const auto status =
        dnnl_sgemm(operation.transpose_b ? 'T' : 'N', operation.transpose_a ? 'T' : 'N', result.columns,
                   result.rows, end - begin, 1, y.data() + offset(!operation.transpose_b, right), right.rows,
                   x.data() + offset(operation.transpose_a, left), left.rows, 1, sums, result.rows);
    if (status != dnnl_success) std::abort();
  }
  std::vector<float> initial() const {
    if (beta == 0) return std::vector<float>(size_t(result.rows) * size_t(result.columns));
    auto sums = load(c, result);
    for (float& s : sums) s *= beta;
    return sums;
  }
};

bool valid(const Operation& op, const Layout& a, const Layout& b, const Layout& c) {
  const int m = op.transpose_a ? a.columns : a.rows, k = op.transpose_a ? a.rows : a.columns;
  const int n = op.transpose_b ? b.rows : b.columns, k2 = op.transpose_b ? b.columns : b.rows;
  const auto sane = [](const Layout& l) {
    return l.rows > 0 && l.columns > 0 && l.ld >= l.rows && (l.type == CUDA_R_16BF || l.type == CUDA_R_32F);
  };
  const bool types = a.type == b.type && (c.type == a.type || c.type == CUDA_R_32F) &&
                     (op.compute == CUBLAS_COMPUTE_32F ||
                      (op.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && a.type == CUDA_R_32F));
  return sane(a) && sane(b) && sane(c) && m == c.rows && n == c.columns && k == k2 && types;
}

// Tensor cores require 16-bit operands with 16-byte rows.
bool aligned(const Layout& l) { return l.type != CUDA_R_16BF || l.ld % 8 == 0; }

template <class T, class Opaque>
cublasStatus_t create(Opaque** handle, T value) {
  *handle = new Opaque{};
  inside<T>(*handle) = value;
  return CUBLAS_STATUS_SUCCESS;
}

template <class T>
cublasStatus_t set(T& target, const void* from, size_t bytes) {
  if (bytes != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&target, from, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  omp_set_num_threads(1);
  *handle = reinterpret_cast<cublasLtHandle_t>(new char);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete reinterpret_cast<char*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* handle, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  if (scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  return create(handle, Operation{compute});
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t handle) {
  return delete handle, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle,
                                              cublasLtMatmulDescAttributes_t attribute, const void* from,
                                              size_t bytes) {
  cublasOperation_t operation;
  if (const cublasStatus_t e = set(operation, from, bytes)) return e;
  auto& target = inside<Operation>(handle);
  if (attribute == CUBLASLT_MATMUL_DESC_TRANSA) target.transpose_a = operation == CUBLAS_OP_T;
  else if (attribute == CUBLASLT_MATMUL_DESC_TRANSB) target.transpose_b = operation == CUBLAS_OP_T;
  else return CUBLAS_STATUS_NOT_SUPPORTED;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* handle, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t ld) {
  return create(handle, Layout{type, int(rows), int(columns), int(ld)});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t handle) {
  return delete handle, CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* handle) {
  return create(handle, Preference{});
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t handle) {
  return delete handle, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* from, size_t bytes) {
  auto& p = inside<Preference>(handle);
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return set(p.workspace, from, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:  // a hint, which in_place ignores
      return bytes == sizeof(uint32_t) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return set(p.alignment[0], from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return set(p.alignment[1], from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return set(p.alignment[2], from, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return set(p.alignment[3], from, bytes);
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t operation,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algorithm,
                                       cublasLtMatmulHeuristicResult_t* result) {
  const auto& known = inside<Algorithm>(algorithm);
  if (known.magic != Algorithm().magic || known.kind >= Kind::count || c != d)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (!valid(inside<Operation>(operation), inside<Layout>(a), inside<Layout>(b), inside<Layout>(c)))
    return CUBLAS_STATUS_INVALID_VALUE;
  *result = {};
  result->algo = *algorithm;
  result->workspaceSize = workspace_of(known.kind, inside<Layout>(c));
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t found[], int* count) {
  const auto& left = inside<Layout>(a);
  const auto &right = inside<Layout>(b), &result = inside<Layout>(c);
  if (!valid(inside<Operation>(operation), left, right, result)) return CUBLAS_STATUS_INVALID_VALUE;
  if (!aligned(left) || !aligned(right) || !aligned(result)) return CUBLAS_STATUS_NOT_SUPPORTED;
  *count = 0;
  for (const Kind kind : {Kind::split, Kind::whole, Kind::in_place, Kind::unsteady, Kind::refused}) {
    if (*count == most) break;
    if (workspace_of(kind, result) > inside<Preference>(preference).workspace) continue;
    cublasLtMatmulHeuristicResult_t& next = found[(*count)++];
    next = {};
    Algorithm algorithm{.kind = kind};
    std::copy_n(inside<Preference>(preference).alignment, 4, algorithm.alignment);
    inside<Algorithm>(&next.algo) = algorithm;
    next.workspaceSize = workspace_of(kind, result);
  }
  return *count ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute, void* to,
                                                    size_t bytes, size_t* written) {
  if (attribute != CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME || bytes != sizeof(uint32_t))
    return CUBLAS_STATUS_INVALID_VALUE;
  const Kind kind = inside<Algorithm>(algorithm).kind;
  const uint32_t scheme = kind == Kind::split      ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
                          : kind == Kind::in_place ? CUBLASLT_REDUCTION_SCHEME_INPLACE
                                                   : CUBLASLT_REDUCTION_SCHEME_NONE;
  std::memcpy(to, &scheme, sizeof scheme);
  if (written) *written = sizeof scheme;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t left, const void* b,
                              cublasLtMatrixLayout_t right, const void* beta, const void* c,
                              cublasLtMatrixLayout_t result, void* d, cublasLtMatrixLayout_t,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  const auto& chosen = inside<Algorithm>(algorithm);
  const Kind kind = chosen.kind;
  if (chosen.magic != Algorithm().magic || kind >= Kind::refused) return CUBLAS_STATUS_NOT_SUPPORTED;
  const Product p{inside<Operation>(operation),
                  inside<Layout>(left),
                  inside<Layout>(right),
                  inside<Layout>(result),
                  a,
                  b,
                  d,
                  *static_cast<const float*>(beta)};
  const size_t needed = workspace_of(kind, p.result);
  if (!valid(p.operation, p.left, p.right, p.result) || c != d || *static_cast<const float*>(alpha) != 1 ||
      needed > workspace_bytes || !on_device(workspace, needed))
    return CUBLAS_STATUS_INVALID_VALUE;
  // Errors that fault on a GPU: invalid memory, or less alignment than promised.
  const auto is_there = [](const void* data, const Layout& x) {
    return on_device(data, (size_t(x.columns - 1) * size_t(x.ld) + size_t(x.rows)) * size_of(x.type));
  };
  const void* const operands[4] = {a, b, c, d};
  for (int i = 0; i < 4; i++)
    if (reinterpret_cast<uintptr_t>(operands[i]) % chosen.alignment[i]) return CUBLAS_STATUS_EXECUTION_FAILED;
  if (!is_there(a, p.left) || !is_there(b, p.right) || !is_there(d, p.result))
    return CUBLAS_STATUS_EXECUTION_FAILED;
  const auto finish = [p](std::vector<float> sums, int begin) {
    p.add(sums.data(), begin, p.terms());
    store(p.c, p.result, sums);
  };
  if (kind == Kind::split) {
    float* const sums = static_cast<float*>(workspace);
    const size_t n = needed / sizeof(float);
    send(stream, [=] {
      std::fill(sums, sums + n, 0.0f);
      p.add(sums, 0, p.terms() / 2);
    });
    send(stream, [=] {
      auto all = p.initial();
      for (size_t i = 0; i < n; i++) all[i] += sums[i];
      finish(std::move(all), p.terms() / 2);
    });
  } else if (kind == Kind::whole) {
    send(stream, [=] { finish(p.initial(), 0); });
  } else {
    static unsigned runs = 0;
    send(stream, [=] { static_cast<char*>(p.c)[0] = kind == Kind::unsteady ? char(runs++) : 0; });
  }
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
