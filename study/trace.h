// Warp steps of a recorded block: what its warps do, instruction by instruction, with counts and races.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "recorder.h"

namespace warpbert::study {

struct SourceLine {
  std::string file;  // from the root of the sources: "kernels/gelu.cu"
  int line = 0;
};

// Place of a step: lines from the kernel to the innermost helper, and the call of the kernel language
// ("ldmatrix_x4") in the last one; "" for plain loads and stores.
struct Place {
  std::vector<SourceLine> lines;
  std::string call;
  std::string element;  // template argument of the call: "double" of __shfl_xor_sync<double>
};

// Device memory or shared variable, by the name that the kernel's source has for it.
struct Array {
  std::string name, type;  // type of an element: bf16, float, double, int, unsigned, ...
  uintptr_t begin = 0;
  size_t bytes = 0;
  bool shared = false;
  SourceLine declared;  // of a shared variable
};

// Another thread's access to the same bytes, one of both a store, and no barrier between.
struct Race {
  int lane, thread;
  size_t step;  // of the other access
};

struct Step {
  Event::Kind kind = Event::load;
  int warp = 0, time = 0, epoch = 0;  // epoch: number of __syncthreads before
  int place = 0;
  uint32_t mask = 0;
  std::array<const Event*, 32> lanes = {};
  int sectors = 0, least_sectors = 0;  // of global memory
  int passes = 0, least_passes = 0;    // over the banks of shared memory
  std::vector<Race> races;
  int lands = -1;  // of a copy: the step that waits for it
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
  std::map<std::string, std::string> sources;  // text of the files of `places`
  int times = 0;
  std::vector<int> epoch_starts;          // first time of each epoch
  int array_of(uintptr_t address) const;  // -1: none
};

// Member of a kernel argument that is a struct: its pointers' names.
struct Member {
  std::string type;
  size_t offset;
  std::string name;
};

// `root`: folder of the sources. Throws io::Error if the trace exceeds `most_steps`.
Trace build_trace(const Recording&, const std::string& root, const std::vector<Member>& members,
                  size_t most_steps);

}  // namespace warpbert::study
