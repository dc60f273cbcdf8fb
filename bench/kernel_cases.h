// Every kernel of a training step at the step's sizes, with bytes and FLOPs by formula: for kernels_bench,
// the table of launch shapes, and the simulator test that counts bytes.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/gemm.h"

namespace warpbert::bench {

struct StepSizes {
  int tokens = 992, pairs = 64, targets = 166, hidden = 768, heads = 12, vocabulary = 6413;
  bool fp32 = false;
};

// Throws UsageError, naming flags, for sizes that no batch or kernel has.
void check(const StepSizes& sizes);

struct KernelCase {
  std::string name;
  // Bytes of `arrays` read before the case writes them, plus bytes written, each once: the memory traffic if
  // the cache keeps all that is needed twice. Partial sums for a second kernel are written.
  double bytes;
  double flops;
  bool product;  // a GEMM, not a kernel of ours
  std::function<void()> run;
};

class KernelCases {
 public:
  KernelCases(Device& device, const StepSizes& sizes);  // throws as check()
  const std::vector<KernelCase>& cases() const { return cases_; }
  const std::vector<DeviceArray<char>>& arrays() const { return arrays_; }

 private:
  template <class T>
  void build(const StepSizes& sizes);
  template <class T>
  T* array(size_t n, bool random = true);
  template <class T>
  T* array(const std::vector<T>& values);
  void add(const char* name, double bytes, double flops, std::function<void()> run, bool product = false) {
    cases_.push_back({name, bytes, flops, product, std::move(run)});
  }

  Device& device_;
  std::vector<DeviceArray<char>> arrays_;
  std::vector<KernelCase> cases_;
  std::unique_ptr<Gemm> gemm_;
};

}  // namespace warpbert::bench
