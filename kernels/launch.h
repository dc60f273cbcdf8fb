#pragma once
#include <initializer_list>
#include <sstream>
#include <stdexcept>
#include <string>

#include "kernels.h"

namespace warpbert::kernels {

// Throws std::invalid_argument "<launcher>: <parts>".
template <class... Parts>
[[noreturn]] void refuse(const char* launcher, const Parts&... parts) {
  std::ostringstream text;
  text << launcher << ": ";
  (text << ... << parts);
  throw std::invalid_argument(text.str());
}

inline std::string shape(const View& x) {
  return "[" + std::to_string(x.rows.capacity) + ", " + std::to_string(x.cols) + "]";
}

// Columns and leading dimension must be multiples of 8.
inline void check_view(const char* launcher, const View& x) {
  if (x.cols <= 0 || x.cols % 8 || x.ld < x.cols || x.ld % 8 || x.rows.capacity < 0)
    refuse(launcher, shape(x), " with leading dimension ", x.ld, ": multiples of 8 columns are needed");
}

// All must be contiguous and share dtype and columns.
inline void check_columns(const char* launcher, const View& x, std::initializer_list<View> others) {
  check_view(launcher, x);
  for (const View& other : others)
    if (other.dtype != x.dtype || other.cols != x.cols || other.ld != x.ld || x.ld != x.cols)
      refuse(launcher, shape(x), " and ", shape(other), " differ in columns or dtype, or have gaps");
}

// Capacities must agree, too.
inline void check_views(const char* launcher, const View& x, std::initializer_list<View> others) {
  check_columns(launcher, x, others);
  for (const View& other : others)
    if (other.rows.capacity != x.rows.capacity)
      refuse(launcher, shape(x), " and ", shape(other), " differ in rows");
}

template <class F>
void with_dtype(DType dtype, F f) {
  if (dtype == DType::bf16) f.template operator()<bf16>();
  else f.template operator()<float>();
}

// Calls f.operator()<N>() for the N that equals n, if any.
template <int... Ns, class F>
void with_one_of(int n, F f) {
  ((n == Ns ? f.template operator()<Ns>() : void()), ...);
}

}  // namespace warpbert::kernels
