// Fake CUDA runtime: registration and launch of kernels, by the PTX interpreter with a GPU's limits.
#include <cuda_runtime_api.h>

#include <atomic>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <sstream>
#include <stdexcept>

#include "send.h"
#include "simt/cpu/pool.h"
#include "simt/ptx/block.h"
#include "simt/ptx/trace.h"

namespace {

// Bytes per block; most_shared is the limit of sm_86, sm_89 and sm_120.
constexpr size_t shared_without_asking = 48 << 10, most_shared = 99 << 10;

struct Function {
  std::string name;  // mangled
  size_t allowed_dynamic = shared_without_asking;
};
// Function-local, as libraries register kernels before this library's globals exist.
std::map<const void*, Function>& functions() {
  static std::map<const void*, Function> all;
  return all;
}

std::mutex totals_mutex;
std::map<std::string, ptx::Counts>& all_counts() {
  static std::map<std::string, ptx::Counts> counts;
  return counts;
}
const char* counts_path() {
  static const char* const path = std::getenv("PTX_COUNTS");
  return path;
}
// Writes two tables: a row per kernel, and in PATH.lines a row per source line of each kernel.
void write_counts() {
  std::ofstream file(counts_path()), by_line(counts_path() + std::string(".lines"));
  by_line << "kernel\tline\tinstructions\n";
  file << "kernel\tlaunches\tinteger\tfp32\tfp64\tspecial\tmma\tshuffle\tshared\tglobal\tcontrol\tthreads\t"
          "global_requests\tglobal_sectors\tglobal_least\tshared_requests\tshared_passes\tshared_least\n";
  for (const auto& [name, c] : all_counts()) {
    const ptx::Kernel& kernel = *ptx::find(name);
    uint64_t by_unit[ptx::units] = {};
    std::map<std::string, uint64_t> lines;
    for (size_t k = 0; k < kernel.code.size(); k++) {
      by_unit[size_t(kernel.code[k].unit)] += c.executed[k];
      if (kernel.code[k].unit != ptx::Unit::none) lines[kernel.code[k].line] += c.executed[k];
    }
    for (const auto& [line, instructions] : lines)
      if (instructions) by_line << name << '\t' << line << '\t' << instructions << '\n';
    file << name << '\t' << c.launches;
    for (size_t unit = 1; unit < ptx::units; unit++) file << '\t' << by_unit[unit];
    for (const uint64_t total : c.totals) file << '\t' << total;
    file << '\n';
  }
}

// Removes anonymous namespaces, whose names differ by compilation:
// 44_GLOBAL__N__aeabd346_7_gelu_cu_ca7dd378_8660.
std::string without_numbers(std::string name) {
  const std::string anonymous = "_GLOBAL__N__";
  for (auto begin = name.find(anonymous); begin != name.npos; begin = name.find(anonymous, begin)) {
    auto digits = begin;
    while (digits > 0 && std::isdigit(static_cast<unsigned char>(name[digits - 1]))) digits--;
    name.erase(digits, begin - digits + std::stoul(name.substr(digits, begin - digits)));
  }
  return name;
}

}  // namespace

namespace ptx {

const Kernel* find(const std::string& name) {
  struct Entry {
    std::function<Kernel()> parse;
    std::unique_ptr<Kernel> kernel;
  };
  static std::map<std::string, Entry> all = [] {
    std::map<std::string, Entry> entries;
    std::istringstream paths(PTX_FILES);
    for (std::string path; std::getline(paths, path, ':');) {
      std::ifstream file(path);
      std::stringstream text;
      text << file.rdbuf();
      if (!file) throw std::runtime_error("cannot read " + path);
      for (auto& [kernel, parser] : parse(text.str())) entries[without_numbers(kernel)].parse = parser;
    }
    return entries;
  }();
  const auto found = all.find(without_numbers(name));
  if (found == all.end()) return nullptr;
  if (!found->second.kernel) found->second.kernel = std::make_unique<Kernel>(found->second.parse());
  return found->second.kernel.get();
}

// Aborts if the kernel writes within the range of an ld.global.nc, which promises read-only data (PTX ISA): a
// GPU may return stale values.
static void check_constants(const Kernel& kernel, const std::vector<Block::Extent>& extents) {
  const auto is_load = [&](size_t k) {
    return kernel.code[k].text.find("ld.global.nc") != std::string::npos;
  };
  for (size_t a = 0; a < extents.size(); a++) {
    if (!extents[a].end || !is_load(a)) continue;
    for (size_t b = 0; b < extents.size(); b++)
      if (extents[b].end > extents[a].begin && extents[b].begin < extents[a].end && !is_load(b)) {
        std::fprintf(stderr, "ptx: kernel %s: reads as constant at %s what it writes at %s\n",
                     kernel.name.c_str(), kernel.code[a].line.c_str(), kernel.code[b].line.c_str());
        std::abort();
      }
  }
}

void run(const Kernel& kernel, Size3 grid, Size3 block, unsigned dynamic_shared,
         const std::vector<char>& parameters) {
  const auto how = simt::current_order();
  const std::vector<long> order = simt::block_order(long(grid.x) * grid.y * grid.z, how);
  std::vector<Block::Extent> extents(kernel.code.size());
  std::atomic<size_t> next = 0;
  auto work = [&] {
    Block b(kernel, grid, block, dynamic_shared, parameters.data(),
            counts_path() || std::getenv("PTX_TRACE"));
    for (size_t k; (k = next++) < order.size();) {
      const auto n = unsigned(order[k]);
      const Size3 index = {n % grid.x, n / grid.x % grid.y, n / grid.x / grid.y};
      const auto trace = Trace::start(kernel, grid, block, index, dynamic_shared);
      b.trace = trace.get();
      b.run(index, how);
      if (trace) trace->write();
    }
    const std::lock_guard lock(totals_mutex);
    for (size_t k = 0; k < extents.size(); k++) extents[k].add(b.extents[k]);
    if (counts_path()) all_counts()[kernel.name].add(b.counts);
  };
  simt::run_on_workers(
      long(order.size()), [](void* f) { (*static_cast<decltype(work)*>(f))(); }, &work);
  check_constants(kernel, extents);
  if (!counts_path()) return;
  static std::once_flag once;
  std::call_once(once, [] { std::atexit(write_counts); });
  const std::lock_guard lock(totals_mutex);
  all_counts()[kernel.name].launches++;
}

}  // namespace ptx

// Function and kernel registered for a host stub; null kernel if unknown or its PTX is unsupported.
static std::pair<Function*, const ptx::Kernel*> known(const void* function) {
  const auto found = functions().find(function);
  if (found == functions().end()) return {nullptr, nullptr};
  try {
    return {&found->second, ptx::find(found->second.name)};
  } catch (const std::exception& e) {
    std::fprintf(stderr, "ptx: kernel %s: %s\n", found->second.name.c_str(), e.what());
    return {nullptr, nullptr};
  }
}

extern "C" {

// nvcc's code calls these when a program or library is loaded. Kernel images are ignored.
void** __cudaRegisterFatBinary(void*) {
  static void* handle = nullptr;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, uint3*, uint3*, dim3*,
                            dim3*, int*) {
  functions()[host].name = name;
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  const auto [f, kernel] = known(function);
  if (!kernel) return cudaErrorInvalidDeviceFunction;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
      size_t(value) + kernel->static_shared > most_shared)
    return cudaErrorInvalidValue;
  f->allowed_dynamic = size_t(value);
  return cudaSuccess;
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  const auto [f, kernel] = known(function);
  if (!kernel) return cudaErrorInvalidDeviceFunction;
  if (is_invalidated(config->stream)) return cudaErrorStreamCaptureInvalidated;
  const dim3 grid = config->gridDim, block = config->blockDim;
  const auto within = [](dim3 n, unsigned x, unsigned y, unsigned z) {
    return n.x && n.y && n.z && n.x <= x && n.y <= y && n.z <= z;
  };
  if (config->numAttrs || !within(grid, 0x7fffffff, 65535, 65535) || !within(block, 1024, 1024, 64) ||
      size_t(block.x) * block.y * block.z > kernel->max_threads)
    return cudaErrorInvalidConfiguration;
  if (config->dynamicSmemBytes > f->allowed_dynamic ||
      config->dynamicSmemBytes + kernel->static_shared > most_shared)
    return cudaErrorInvalidValue;
  std::vector<char> parameters(size_t(kernel->parameter_bytes));
  for (size_t k = 0; k < kernel->parameters.size(); k++)
    std::memcpy(parameters.data() + kernel->parameters[k].offset, arguments[k],
                size_t(kernel->parameters[k].bytes));
  send(config->stream, [=, kernel = kernel, dynamic = unsigned(config->dynamicSmemBytes)] {
    ptx::run(*kernel, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, dynamic, parameters);
  });
  return cudaSuccess;
}

}  // extern "C"
