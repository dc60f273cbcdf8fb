#pragma once
#include <chrono>
#include <cstddef>
#include <string>

namespace warpbert::io {

// 0.1f becomes 0.1, not 0.100000001.
double decimal(float x);

inline double seconds_since(std::chrono::steady_clock::time_point t) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - t).count();
}

inline double mib(size_t bytes) { return double(bytes) / 1048576; }

std::string duration_text(double seconds);  // "42s", "3m 05s", "1h 02m", "2d 03h"
std::string date_text(double seconds);      // since 1970: "2026-11-28 12:30 UTC"

}  // namespace warpbert::io
