// Parts of build_trace(). Internal.
#pragma once
#include "trace.h"

namespace warpbert::study {

// Path of a source file from the root: of an absolute one, and of one relative to the build folder, which
// ccache makes of it.
std::string from_root(const std::string& file, const std::string& root);

// Places of all chains, and for each chain a key: equal keys are one instruction. Keys sort by code address
// from the kernel inwards.
struct Places {
  std::vector<Place> all;
  std::vector<int> of_chain;
  std::vector<std::vector<const void*>> key_of_chain;  // outermost first
};
Places find_chains(const Recording&, const std::string& root);

// Merges the lanes of each warp into steps and gives them times: warps run side by side between barriers.
void merge_lanes(Trace&, const Recording&, const Places&);

void name_arrays(Trace&, const Recording&, const std::string& root, const std::vector<Member>&);
void count_sectors_and_passes(Trace&);
void find_races(Trace&);

}  // namespace warpbert::study
