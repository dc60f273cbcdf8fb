// Build identification for --version, the saved config.ini and the report.
#pragma once
#include <string>

namespace warpbert {

// "warpbert 0.1.0 (commit 4764ea3d2b1c), GCC 12.2.0, Release, simulator". ", changed" follows the
// commit if sources differed at build time.
std::string build_info();

}  // namespace warpbert
