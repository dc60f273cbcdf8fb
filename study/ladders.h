// Ladders: simpler forms of a shipped kernel, and what each costs (study/ladders/).
#pragma once
#include <string>
#include <vector>

namespace warpbert::study {

std::vector<std::string> ladder_names();

// Prints a line for each rung. Throws io::Error if there is no such ladder.
void print_ladder(const std::string& name);

}  // namespace warpbert::study
