#include "symbols.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>

#include <cstdlib>
#include <sstream>

#include "child.h"
#include "io/error.h"

namespace warpbert::study {

std::vector<CodePlace> find_places(const std::vector<const void*>& addresses) {
  Dl_info self;
  link_map* map = nullptr;  // l_addr: load address less that in the file
  void* const here = reinterpret_cast<void*>(&find_places);
  if (!dladdr1(here, &self, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP))
    throw io::Error("dladdr1 does not find this program");
  std::string input;
  for (const void* a : addresses) input += fmt::format("{:#x}\n", uintptr_t(a) - uintptr_t(map->l_addr));
  std::istringstream lines(
      run_program({"addr2line", "-f", "-C", "-e", this_executable()}, input, "finds source lines", "binutils")
          .output);
  std::vector<CodePlace> places;
  std::string function, place;
  while (std::getline(lines, function) && std::getline(lines, place)) {
    const size_t end = place.find(" (discriminator"), colon = place.rfind(':', end);
    CodePlace p{function, place.substr(0, colon), 0};
    if (colon != std::string::npos) p.line = std::atoi(place.c_str() + colon + 1);
    places.push_back(p);
  }
  if (places.size() != addresses.size()) throw io::Error("addr2line answers with too few lines");
  return places;
}

}  // namespace warpbert::study
