// Parts of build_trace().
#pragma once
#include "trace.h"

namespace warpbert::study {

// Path from the root, of an absolute path or one relative to the build folder (ccache's).
std::string from_root(const std::string& file, const std::string& root);

// Places of all chains. Chains with equal keys are one instruction.
struct Places {
  std::vector<Place> all;
  std::vector<int> of_chain;
  std::vector<std::vector<const void*>> key_of_chain;  // outermost first
};
Places find_chains(const Recording&, const std::string& root);

// Merges the lanes of each warp into steps with times.
void merge_lanes(Trace&, const Recording&, const Places&);

void name_arrays(Trace&, const Recording&, const std::string& root, const std::vector<Member>&);
void count_sectors_and_passes(Trace&);
void find_races(Trace&);

}  // namespace warpbert::study
