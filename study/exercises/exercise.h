// A check (checks/NN_name.cpp) includes the learner's file as EXERCISE, launches the kernel and compares each
// result with a plain computation in double.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "simt/simt.h"

namespace warpbert::study {

// Counts of block 0: upper limits, except `groups`, a lower one.
struct Goal {
  double sectors = 1, passes = 1;  // of the least number
  int barriers = 0;
  int groups = 0;  // of cp.async in flight after a wait
};

class Check {
 public:
  // `n` normal random numbers, the same in each run.
  float* input(const char* name, size_t n);
  // `n` NaNs: what the kernel does not store stays NaN.
  float* output(const char* name, size_t n);

  // Compares an element; bf16: stored over an input.
  void expect(const float* array, size_t i, double expected);
  void expect(const char* name, const bf16* array, size_t i, double expected);

  struct Array {
    std::string name;
    std::shared_ptr<float> memory;  // with `guard` floats on both sides
    float* begin;
    size_t n;
  };
  static constexpr size_t guard = 4096;
  const std::vector<Array>& arrays() const { return arrays_; }
  std::string wrong() const;  // "" if none
  std::function<void(const Array&)> on_array = [](const Array&) {};

 private:
  Array& add(const char* name, size_t n);
  void compare(const std::string& name, size_t i, double value, double expected, double tolerance);

  std::vector<Array> arrays_;
  std::string first_wrong_;
  int wrong_ = 0, compared_ = 0;
};

// Defined by each check.
extern const char* const kernel;
extern const Goal goal;
void run(Check&);

}  // namespace warpbert::study
