#include "chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace warpbert {

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '"') out += "&quot;";
    else if (c == '\'') out += "&#39;";
    else if (static_cast<unsigned char>(c) < 32 && c != '\n' && c != '\t') out += ' ';  // not allowed in XML
    else out += c;
  }
  return out;
}

std::string short_number(double value) {
  const double size = std::abs(value);
  if (size >= 1e6) return fmt::format("{:.4g}M", value * 1e-6);
  if (size >= 1e4) return fmt::format("{:.4g}k", value * 1e-3);
  return fmt::format("{:.4g}", std::abs(value) < 1e-12 ? 0 : value);
}

namespace {

// ---- Scales -----------------------------------------------------------------------------------------------

constexpr double width = 560, height = 300;
constexpr double left = 50, top = 30, bottom = height - 44;

// One axis; maps values to pixels `from` … `to`.
struct Scale {
  double low, high, from, to;
  bool log = false;
  std::vector<double> ticks;

  double operator()(double v) const {
    const double share = log ? std::log(v / low) / std::log(high / low) : (v - low) / (high - low);
    return from + std::clamp(share, 0.0, 1.0) * (to - from);
  }
};

// Tick step of about range / count: 1, 2, 2.5 or 5 times a power of ten.
double tick_step(double range, int count, bool whole) {
  const double power = std::pow(10, std::floor(std::log10(range / count)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.5, 2.0, 1.0})
    if (factor * power >= range / count && !(whole && factor == 2.5)) step = factor * power;
  return whole ? std::max(step, 1.0) : step;
}

Scale log_scale(double low, double high, double from, double to) {
  Scale s{low, high, from, to, true, {}};
  for (int power = int(std::floor(std::log10(low))); power <= int(std::ceil(std::log10(high))); power++)
    for (const double factor : {1.0, 2.0, 5.0})
      if (const double tick = factor * std::pow(10, power); tick >= low && tick <= high)
        s.ticks.push_back(tick);
  return s;
}

// Fits open ends to the data: exactly if `tight`, else outward to the next tick.
Scale make_scale(const Axis& axis, double low, double high, double from, double to, bool tight) {
  const bool open_low = !std::isfinite(axis.low), open_high = !std::isfinite(axis.high);
  if (!open_low) low = axis.low;
  if (!open_high) high = axis.high;
  if (axis.log && low > 0 && high > low) return log_scale(low * 0.95, high * 1.05, from, to);
  if (!(high - low > 1e-9 * std::max(std::abs(low), std::abs(high)))) {  // else a step may vanish in rounding
    const double margin = axis.whole ? 1 : std::max(std::abs(low) * 0.05, 1e-3);
    low -= margin, high += margin;
  }
  const double step = tick_step(high - low, 5, axis.whole);
  if (!tight && open_low) low = std::floor(low / step + 1e-9) * step;
  if (!tight && open_high) high = std::ceil(high / step - 1e-9) * step;
  Scale s{low, high, from, to, false, {}};
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++)
    s.ticks.push_back(i * step);
  return s;
}

// ---- Common elements --------------------------------------------------------------------------------------

struct Frame {
  Scale x, y;
};

std::string begin(const std::string& description) {
  return fmt::format("<svg viewBox='0 0 {} {}' role='img' aria-label='{}'>\n", width, height,
                     escape_html(description));
}

std::string text(std::string_view css, double x, double y, std::string_view anchor, std::string_view words) {
  return fmt::format("<text class='{}' x='{:.1f}' y='{:.1f}' text-anchor='{}'>{}</text>\n", css, x, y, anchor,
                     escape_html(words));
}

std::string line(std::string_view css, double x0, double y0, double x1, double y1) {
  return fmt::format("<line class='{}' x1='{:.1f}' y1='{:.1f}' x2='{:.1f}' y2='{:.1f}'/>\n", css, x0, y0, x1,
                     y1);
}

std::string circle(int color, double x, double y, double radius, const std::string& tip) {
  return fmt::format("<circle class='c{}' cx='{:.1f}' cy='{:.1f}' r='{}'>{}</circle>\n", color, x, y, radius,
                     tip.empty() ? "" : "<title>" + escape_html(tip) + "</title>");
}

std::string axes(const Frame& f, const Axis& x, const Axis& y) {
  std::string s;
  for (const double tick : f.y.ticks) {
    s += line("grid", f.x.from, f.y(tick), f.x.to, f.y(tick));
    s += text("tick", f.x.from - 8, f.y(tick) + 4, "end", short_number(tick));
  }
  s += line("axis", f.x.from, bottom, f.x.to, bottom);
  for (const double tick : f.x.ticks) {
    s += line("axis", f.x(tick), bottom, f.x(tick), bottom + 4);
    s += text("tick", f.x(tick), bottom + 18, "middle", short_number(tick));
  }
  s += text("tick", (f.x.from + f.x.to) / 2, height - 8, "middle", x.label);
  return s + text("tick", 6, 12, "start", y.label);
}

// Series names at the series' ends, moved apart where they overlap.
struct EndLabel {
  double y;
  std::string name;
  int color;
};

std::string end_labels(std::vector<EndLabel> labels, double x) {
  constexpr double line_height = 15;
  std::stable_sort(labels.begin(), labels.end(),
                   [](const EndLabel& a, const EndLabel& b) { return a.y < b.y; });
  for (size_t i = 1; i < labels.size(); i++)
    labels[i].y = std::max(labels[i].y, labels[i - 1].y + line_height);
  double lowest = bottom;
  for (size_t i = labels.size(); i-- > 0; lowest = labels[i].y - line_height)
    labels[i].y = std::min(labels[i].y, lowest);
  std::string s;
  for (const EndLabel& label : labels)
    s += text(fmt::format("label c{}", label.color), x, label.y + 4, "start", label.name);
  return s;
}

// Room for the longest name, at 6.6 pixels per character.
double right_edge(const std::vector<EndLabel>& labels) {
  size_t longest = 0;
  for (const EndLabel& label : labels) longest = std::max(longest, label.name.size());
  return width - (longest ? 14 + 6.6 * double(longest) : 18);
}

// The finite points; above 400, the means of equal stretches.
Series thinned(const Series& series) {
  constexpr size_t most = 400;
  Series kept = series, out = series;
  kept.x.clear(), kept.y.clear();
  for (size_t i = 0; i < std::min(series.x.size(), series.y.size()); i++)
    if (std::isfinite(series.x[i]) && std::isfinite(series.y[i]))
      kept.x.push_back(series.x[i]), kept.y.push_back(series.y[i]);
  const size_t n = kept.x.size();
  if (n <= most) return kept;
  out.x.clear(), out.y.clear();
  for (size_t i = 0; i < most; i++) {
    const size_t first = i * n / most, last = (i + 1) * n / most;
    double x = 0, y = 0;
    for (size_t j = first; j < last; j++) x += kept.x[j], y += kept.y[j];
    out.x.push_back(x / double(last - first)), out.y.push_back(y / double(last - first));
  }
  return out;
}

std::string draw(const Frame& f, const Series& series) {
  std::string s;
  if (series.x.size() > 1) {
    s += fmt::format("<polyline class='c{}{}' points='", series.color, series.faint ? " faint" : "");
    for (size_t i = 0; i < series.x.size(); i++)
      s += fmt::format("{:.1f},{:.1f} ", f.x(series.x[i]), f.y(series.y[i]));
    s += "'/>\n";
  }
  if (series.dots || series.x.size() == 1)
    for (size_t i = 0; i < series.x.size(); i++)
      s += circle(series.color, f.x(series.x[i]), f.y(series.y[i]), series.x.size() > 60 ? 1.5 : 3,
                  fmt::format("{}: {:.5g}", short_number(series.x[i]), series.y[i]));
  return s;
}

// Puts the text on the side that has room.
std::string draw(const Frame& f, const Mark& mark) {
  const double x = f.x(mark.x), y = f.y(mark.y);
  const bool right_half = x > (f.x.from + f.x.to) / 2;
  const double text_y = y - 12 > top ? y - 12 : y + 22;
  return fmt::format("<circle class='c{} ring' cx='{:.1f}' cy='{:.1f}' r='6'/>\n", mark.color, x, y) +
         text(fmt::format("label c{}", mark.color), x + (right_half ? 8 : -8), text_y,
              right_half ? "end" : "start", mark.text);
}

}  // namespace

std::string line_chart(const LineChart& chart) {
  std::vector<Series> series;
  double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
  for (const Series& whole : chart.series) {
    series.push_back(thinned(whole));
    for (const double x : series.back().x) x0 = std::min(x0, x), x1 = std::max(x1, x);
    for (const double y : series.back().y) y0 = std::min(y0, y), y1 = std::max(y1, y);
  }
  if (!(x1 >= x0)) return "";
  Frame f{{}, make_scale(chart.y, y0, y1, bottom, top, false)};
  std::vector<EndLabel> labels;
  for (const Series& s : series)
    if (!s.name.empty() && !s.y.empty()) labels.push_back({f.y(s.y.back()), s.name, s.color});
  f.x = make_scale(chart.x, x0, x1, left, right_edge(labels), true);

  std::string s = begin(chart.description) + axes(f, chart.x, chart.y);
  if (chart.diagonal) s += line("axis dashed", f.x(f.x.low), f.y(f.y.low), f.x(f.x.high), f.y(f.y.high));
  for (const Series& one : series) s += draw(f, one);
  for (const Mark& mark : chart.marks)
    if (std::isfinite(mark.x) && std::isfinite(mark.y)) s += draw(f, mark);
  return s + end_labels(labels, f.x.to + 8) + "</svg>\n";
}

std::string histogram(const Histogram& chart) {
  double most = 0;
  std::vector<EndLabel> labels;
  for (const Bars& group : chart.groups) {
    for (const double h : group.heights) most = std::max(most, h);
    if (!group.name.empty()) labels.push_back({top + 8, group.name, group.color});
  }
  if (!(most > 0)) return "";
  Axis x = chart.x, y = chart.y;
  x.low = chart.low, x.high = chart.high, y.low = 0;
  const Frame f{make_scale(x, chart.low, chart.high, left, right_edge(labels), true),
                make_scale(y, 0, most, bottom, top, false)};

  std::string s = begin(chart.description) + axes(f, x, y);
  for (const Bars& group : chart.groups) {
    const double bar = (f.x.to - f.x.from) / double(group.heights.size());
    for (size_t i = 0; i < group.heights.size(); i++)
      if (const double h = group.heights[i]; h > 0)
        s += fmt::format("<rect class='c{} bar' x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}'/>\n",
                         group.color, f.x.from + double(i) * bar + bar * 0.05, f.y(h), bar * 0.9,
                         bottom - f.y(h));
  }
  if (std::isfinite(chart.rule)) {
    const double at = f.x(chart.rule);
    const bool right_half = at > (f.x.from + f.x.to) / 2;
    s += line("axis dashed", at, top, at, bottom);
    s += text("tick", at + (right_half ? -6 : 6), top + 10, right_half ? "end" : "start", chart.rule_text);
  }
  return s + end_labels(labels, f.x.to + 8) + "</svg>\n";
}

}  // namespace warpbert
