// Launch messages, identical on a GPU and in the simulator.
#pragma once
#include <cctype>
#include <cstdio>
#include <cstring>
#include <string>

namespace simt {

// Extracts "cast_kernel<float>" from "void launch(...) [with auto Kernel =
//   warpbert::kernels::cast_kernel<float>; Args = ...]"; returns other strings unchanged. clang++ writes no
// template arguments: "cast_kernel".
inline std::string kernel_name(const char* signature) {
  const char* begin = std::strstr(signature, "Kernel = ");
  if (!begin) return signature;
  begin += std::strlen("Kernel = ");
  const char* end = begin + std::strcspn(begin, ";]");                                     // g++
  if (const char* args = std::strstr(begin, ", Args = "); args && args < end) end = args;  // clang++
  std::string name;
  for (const char* c = begin; c < end; c++) {
    if (c[0] == ':' && c[1] == ':') {  // drop the namespace before it
      c++;
      while (!name.empty() && (std::isalnum(name.back()) || std::strchr("_{}", name.back()))) name.pop_back();
    } else if (*c != '&' || c != begin) {
      name += *c;
    }
  }
  return name;
}

template <class Dim3>
std::string launch_error(const char* signature, const Dim3& grid, const Dim3& block, size_t dynamic_bytes,
                         const std::string& why) {
  char shape[160];
  std::snprintf(shape, sizeof shape,
                ", grid (%u,%u,%u), block (%u,%u,%u), %zu bytes of dynamic shared memory: ", grid.x, grid.y,
                grid.z, block.x, block.y, block.z, dynamic_bytes);
  return "launch of " + kernel_name(signature) + shape + why;
}

}  // namespace simt
