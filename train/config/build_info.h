// Which build a program is: for --version, the saved config.ini and the report.
#pragma once
#include <string>

namespace warpbert {

// "warpbert 0.1.0 (commit 4764ea3d2b1c), GCC 12.2.0, Release, simulator"; the commit is that of the sources when they
// were built, with ", changed" behind it when files differed from it.
std::string build_info();

}  // namespace warpbert
