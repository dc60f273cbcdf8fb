// Line charts and histograms as SVG text. The page's style sheet defines the classes c0 … c6 (series colours,
// 0 is subdued), grid, axis, tick, label and faint: one drawing serves light and dark mode.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "metrics_log.h"

namespace warpbert {

std::string escape_html(std::string_view text);

// For ticks and tables: 0.25, 12, 1500, 20k, 1.5M.
std::string short_number(double value);

struct Axis {
  std::string label;
  double low = undefined, high = undefined;  // undefined: fitted to the data
  bool whole = false;                        // integer ticks only
  bool log = false;                          // ticks 1, 2, 5, 10, …; positive values only
};

// Points with a non-finite x or y are skipped.
struct Series {
  std::string name;  // written at the series' end; may be empty
  int color = 1;
  std::vector<double> x, y;
  bool faint = false;  // background of another series
  bool dots = false;
};

struct Mark {
  double x, y;
  std::string text;
  int color = 1;
};

struct LineChart {
  std::string description;  // for screen readers
  Axis x, y;
  std::vector<Series> series;
  std::vector<Mark> marks;
  bool diagonal = false;  // reference line from corner to corner
};

// Draws at most 400 points per series, longer ones as means of equal stretches. "" if there is nothing to
// draw.
std::string line_chart(const LineChart& chart);

// Bars over bins that all groups share; later groups cover earlier ones.
struct Bars {
  std::string name;
  int color = 1;
  std::vector<double> heights;
};

struct Histogram {
  std::string description;
  Axis x, y;
  double low = 0, high = 1;  // range of the bins
  std::vector<Bars> groups;
  double rule = undefined;  // x of a vertical line
  std::string rule_text;
};

std::string histogram(const Histogram& chart);  // "" if all bars are empty

}  // namespace warpbert
