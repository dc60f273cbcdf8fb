// Exercises: kernels with a hole, in study/exercises/.
#pragma once
#include <string>

namespace warpbert::study {

// Compiles exercise `number`, a copy in `file` unless empty, or the solution. Runs it and prints faults.
// Writes the trace of block 0 to `output` unless empty. Returns whether it is solved. Throws io::Error if
// there is no such exercise.
bool try_exercise(int number, const std::string& file, bool solution, const std::string& output);

}  // namespace warpbert::study
