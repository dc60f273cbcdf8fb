// Ladders: simpler forms of a shipped kernel (study/ladders/).
#pragma once
#include <string>
#include <vector>

namespace warpbert::study {

std::vector<std::string> ladder_names();

// Throws io::Error if there is no such ladder.
void print_ladder(const std::string& name);

}  // namespace warpbert::study
