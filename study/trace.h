// Warp steps of a recorded block, with counts and races.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "recorder.h"

namespace warpbert::study {

struct SourceLine {
  std::string file;  // "kernels/gelu.cu"
  int line = 0;
};

// Lines from the kernel to the innermost helper, and its call of the kernel language: "ldmatrix_x4", or ""
// for plain loads and stores.
struct Place {
  std::vector<SourceLine> lines;
  std::string call;
  std::string element;  // "double" of __shfl_xor_sync<double>
};

// Device memory or shared variable, by its name in the kernel.
struct Array {
  std::string name, type;  // type of an element: bf16, float, ...
  uintptr_t begin = 0;
  size_t bytes = 0;
  bool shared = false;
  SourceLine declared;
};

// Race with another thread's access (docs/study.md).
struct Race {
  int lane, thread;
  size_t step;
};

struct Step {
  Event::Kind kind = Event::load;
  int warp = 0, time = 0, epoch = 0;  // epoch: __syncthreads before
  int place = 0;
  uint32_t mask = 0;
  std::array<const Event*, 32> lanes = {};
  int sectors = 0, least_sectors = 0;
  int passes = 0, least_passes = 0;
  std::vector<Race> races;
  int lands = -1;  // step that waits for the copy
};

struct Totals {
  int steps = 0, loads = 0, stores = 0, atomics = 0, collectives = 0, copies = 0, barriers = 0;
  int sectors = 0, least_sectors = 0, passes = 0, least_passes = 0, races = 0;
};

struct Trace {
  std::string variant;  // "layer_norm_backward_kernel<bf16, 1, false>"
  std::vector<Place> places;
  std::vector<Array> arrays;
  std::vector<Step> steps;  // by time, then warp
  Totals totals;
  std::map<std::string, std::string> sources;  // text by file
  int times = 0;
  std::vector<int> epoch_starts;          // times
  int array_of(uintptr_t address) const;  // -1: none
};

// Pointer in a struct that a kernel takes.
struct Member {
  std::string type;
  size_t offset;
  std::string name;
};

// `root`: source folder. Throws io::Error beyond `most_steps`.
Trace build_trace(const Recording&, const std::string& root, const std::vector<Member>& members,
                  size_t most_steps);

}  // namespace warpbert::study
