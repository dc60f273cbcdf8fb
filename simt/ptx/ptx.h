// An interpreter of PTX, the assembly language into which nvcc compiles kernels for every GPU: the kernels as shipped,
// with nvcc's arithmetic, addresses and inline instructions, run where there is no GPU (ctest --preset cuda_host). It
// knows the instructions that our kernels use (instructions.cpp) and refuses others.
//
// Semantics: Nvidia's "Parallel Thread Execution ISA", version 9.0. The lanes of a warp go together as long as they take
// the same way; then each part goes on for itself, and parts meet again where they come to the same instruction.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace ptx {

constexpr int lanes = 32;
using Mask = uint32_t;  // of lanes
constexpr Mask all_lanes = ~Mask(0);

class Warp;
struct Instruction;
// Executes an instruction for the lanes of a mask.
using Execute = void (*)(Warp&, const Instruction&, Mask);

// What executes an instruction, for the counts. None: moves and changes of width, which a GPU's code mostly has not.
enum class Unit { none, integer, fp32, fp64, special, mma, shuffle, shared, global, control };
constexpr size_t units = size_t(Unit::control) + 1;

// Instructions that lanes execute together, or wait for each other at.
enum class Meeting { none, branch, end, barrier, warp_barrier, shuffle, aligned };

struct Instruction {
  Execute execute = nullptr;
  Meeting meeting = Meeting::none;
  Unit unit = Unit::none;
  int guard = -1;  // register of the predicate; -1: none
  bool guard_negated = false;
  std::vector<int> to, from;  // registers; constants have registers too
  int64_t offset = 0;         // added to the address, from[0]; of a branch the instruction it goes to
  int64_t second_offset = 0;  // of a copy: added to from[1]
  int bytes = 0;              // of a load, store or copy, each lane
  int pieces = 1;             // of a vector
  std::string text;           // as in the PTX
  std::string line;           // of the source: kernels/gelu.cu:31
};

struct Kernel {
  std::string name;  // mangled
  std::vector<Instruction> code;
  struct Parameter {
    int offset = 0, bytes = 0;
  };
  std::vector<Parameter> parameters;
  int parameter_bytes = 0;
  int registers = 0;
  std::map<int, uint64_t> constants;                                             // by register
  std::map<int, std::string> special;                                            // %tid.x, ..., by register
  unsigned static_shared = 0;                                                    // bytes; dynamic shared memory follows
  unsigned dynamic_shared() const { return (static_shared + 127) / 128 * 128; }  // where that begins
  unsigned max_threads = 1024;                                                   // of __launch_bounds__
};

// The kernel with this mangled name, out of all .ptx files of the build; null if there is none.
const Kernel* find(const std::string& name);

// One file's kernels by name. Throws std::runtime_error with the line that it does not understand.
std::map<std::string, std::function<Kernel()>> parse(const std::string& text);
// The instruction of this name (add.f32); null if it is not known.
struct Known {
  Execute execute;
  Meeting meeting;
  Unit unit;
  int bytes = 0, pieces = 1;
};
const Known* known(const std::string& opcode);

struct Size3 {
  unsigned x, y, z;
  unsigned axis(char name) const { return name == 'x' ? x : name == 'y' ? y : z; }
};
// Runs a grid. `parameters` as Kernel::parameters lays them out. Errors of a kernel end the process, with a message.
void run(const Kernel& kernel, Size3 grid, Size3 block, unsigned dynamic_shared, const std::vector<char>& parameters);

}  // namespace ptx
