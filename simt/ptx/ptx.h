// Interpreter of PTX (Nvidia's "Parallel Thread Execution ISA", version 9.0), for the instructions of our
// kernels: ../README.md, "Preset cuda without a GPU".
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
using Execute = void (*)(Warp&, const Instruction&, Mask);

// Functional unit, for counts. none: moves and width changes, mostly absent from machine code.
enum class Unit { none, integer, fp32, fp64, special, mma, shuffle, shared, global, control };
constexpr size_t units = size_t(Unit::control) + 1;

enum class Rendezvous { none, branch, end, barrier, warp_barrier, shuffle, aligned };

struct Instruction {
  Execute execute = nullptr;
  Rendezvous arrived = Rendezvous::none;
  Unit unit = Unit::none;
  int guard = -1;  // predicate register; -1: none
  bool guard_negated = false;
  std::vector<int> to, from;  // registers
  int64_t offset = 0;         // added to the address, from[0]; for a branch, index of the target
  int64_t second_offset = 0;  // of a copy, added to from[1]
  int bytes = 0;              // of a load, store or copy, per lane and piece
  int pieces = 1;             // elements of a vector
  std::string text;           // the PTX
  std::string line;           // in the source: gelu.cu:31
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
  std::map<int, uint64_t> constants;                                             // value by register
  std::map<int, std::string> special;                                            // %tid.x, ..., by register
  unsigned static_shared = 0;                                                    // bytes
  unsigned dynamic_shared() const { return (static_shared + 127) / 128 * 128; }  // byte offset
  unsigned max_threads = 1024;                                                   // from __launch_bounds__
};

// Kernel of this mangled name in the build's .ptx files, or null. Throws as parse().
const Kernel* find(const std::string& name);

// A file's kernels by mangled name, each parsed when called. Throws std::runtime_error with the unsupported
// line.
std::map<std::string, std::function<Kernel()>> parse(const std::string& text);
// Instruction of this name (add.f32); null if unsupported.
struct Known {
  Execute execute;
  Rendezvous arrived;
  Unit unit;
  int bytes = 0, pieces = 1;
};
const Known* known(const std::string& opcode);

struct Size3 {
  unsigned x, y, z;
  unsigned axis(char name) const { return name == 'x' ? x : name == 'y' ? y : z; }
};
// Runs a grid; `parameters` as laid out by Kernel::parameters. Kernel errors print a message and abort.
void run(const Kernel& kernel, Size3 grid, Size3 block, unsigned dynamic_shared,
         const std::vector<char>& parameters);

}  // namespace ptx
