// Cost of a warp's memory access, for the PTX interpreter and the traces of study/.
#pragma once
#include <array>
#include <cstdint>
#include <optional>

namespace simt {

using LaneAddresses = std::array<std::optional<uint64_t>, 32>;  // empty: the lane takes no part

struct AccessCount {
  uint64_t used = 0, least = 0;
};

// 32-byte sectors of device memory that accesses of `bytes` touch; least: for as many distinct bytes.
AccessCount count_sectors(const LaneAddresses& addresses, int bytes);

// Passes over the 32 banks of shared memory; least: without bank conflicts. A pass serves one word of 4 bytes
// per bank, equal words once. 8 and 16 bytes a lane go by half and quarter warps.
AccessCount count_passes(const LaneAddresses& addresses, int bytes);

}  // namespace simt
