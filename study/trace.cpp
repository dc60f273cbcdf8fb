#include "trace.h"

#include <fmt/format.h>

#include "io/error.h"
#include "parts.h"
#include "simt/kernel_name.h"

namespace warpbert::study {

Trace build_trace(const Recording& r, const std::string& root, const std::vector<Member>& members,
                  size_t most_steps) {
  Trace trace;
  trace.variant = simt::kernel_name(r.signature.c_str());
  const Places places = find_chains(r, root);
  trace.places = places.all;
  merge_lanes(trace, r, places);
  if (trace.steps.size() > most_steps)
    io::fail("block ({},{},{}) of {} takes {} warp steps, more than a page shows ({}); choose smaller sizes",
             r.at[0], r.at[1], r.at[2], trace.variant, trace.steps.size(), most_steps);
  name_arrays(trace, r, root, members);
  count_sectors_and_passes(trace);
  find_races(trace);
  return trace;
}

}  // namespace warpbert::study
