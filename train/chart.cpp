#include "chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace warpbert {
namespace {

constexpr double width = 560, height = 300, left = 56, right = 96, top = 34, bottom = 42;

struct Axis {
  double low, high, step;
};

// Round numbers at both ends, four to eight steps.
Axis nice_axis(double low, double high) {
  if (!(high > low)) low -= 0.5, high += 0.5;
  const double raw = (high - low) / 5, power = std::pow(10, std::floor(std::log10(raw)));
  double step = power;
  for (double f : {1.0, 2.0, 5.0, 10.0})
    if (f * power <= raw * 1.5) step = f * power;
  return {std::floor(low / step + 1e-9) * step, std::ceil(high / step - 1e-9) * step, step};
}

struct Frame {
  Axis x, y;
  double px(double v) const { return left + (v - x.low) / (x.high - x.low) * (width - left - right); }
  double py(double v) const { return height - bottom - (v - y.low) / (y.high - y.low) * (height - top - bottom); }
};

std::string number(double v, double step) {
  if (std::abs(v) < step * 1e-6) v = 0;
  if (std::abs(v) >= 10000 && step >= 1000) return fmt::format("{:g}k", v / 1000);
  return fmt::format("{:.{}f}", v, std::max(0, int(std::ceil(-std::log10(step) - 1e-9))));
}

std::string axes(const Frame& f, const std::string& title, const std::string& x_label) {
  std::string s =
      fmt::format("<svg viewBox='0 0 {} {}' role='img' aria-label='{}'><text class='title' x='{}' y='18'>{}</text>",
                  width, height, escape_html(title), left, escape_html(title));
  for (double v = f.y.low; v <= f.y.high + f.y.step / 2; v += f.y.step)
    s += fmt::format(
        "<line class='grid' x1='{}' x2='{}' y1='{:.1f}' y2='{:.1f}'/><text class='tick' x='{}' y='{:.1f}' "
        "text-anchor='end'>{}</text>",
        left, width - right, f.py(v), f.py(v), left - 8, f.py(v) + 4, number(v, f.y.step));
  for (double v = f.x.low; v <= f.x.high + f.x.step / 2; v += f.x.step)
    s += fmt::format("<text class='tick' x='{:.1f}' y='{}' text-anchor='middle'>{}</text>", f.px(v),
                     height - bottom + 18, number(v, f.x.step));
  return s + fmt::format("<text class='tick' x='{:.1f}' y='{}' text-anchor='middle'>{}</text>",
                         (left + width - right) / 2, height - 6, escape_html(x_label));
}

Series thinned(const Series& s) {
  constexpr size_t most = 600;
  Series out{s.name, s.css_class, {}, {}};
  const size_t stretch = (s.x.size() + most - 1) / most;
  for (size_t i = 0; i < s.x.size(); i += stretch) {
    double x = 0, y = 0;
    int n = 0;
    for (size_t k = i; k < std::min(i + stretch, s.x.size()); k++)
      if (std::isfinite(s.y[k])) x += s.x[k], y += s.y[k], n++;
    if (n) out.x.push_back(x / n), out.y.push_back(y / n);
  }
  return out;
}

// Labels at the ends of the lines, moved apart where they would overlap.
std::string end_labels(const Frame& f, const std::vector<Series>& series) {
  std::vector<std::pair<double, const Series*>> ends;
  for (const Series& s : series)
    if (!s.x.empty() && !s.name.empty()) ends.emplace_back(f.py(s.y.back()), &s);
  std::sort(ends.begin(), ends.end(), [](auto& a, auto& b) { return a.first < b.first; });
  std::string text;
  double last = -1e9;
  for (auto& [y, s] : ends) {
    last = std::max(y, last + 15);
    text += fmt::format("<text class='label {}' x='{}' y='{:.1f}'>{}</text>", s->css_class, width - right + 6, last + 4,
                        escape_html(s->name));
  }
  return text;
}

}  // namespace

std::string escape_html(const std::string& text) {
  std::string out;
  for (char c : text) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  return out;
}

std::string line_chart(const Chart& chart) {
  std::vector<Series> series;
  double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
  for (const Series& s : chart.series) {
    series.push_back(thinned(s));
    for (double x : series.back().x) x0 = std::min(x0, x), x1 = std::max(x1, x);
    for (double y : series.back().y) y0 = std::min(y0, y), y1 = std::max(y1, y);
  }
  if (!(x1 >= x0)) return "";  // nothing to draw
  const Frame f{nice_axis(x0, x1), nice_axis(y0, y1)};
  std::string s = axes(f, chart.title, chart.x_label);
  if (chart.diagonal)
    s += fmt::format("<line class='reference' x1='{:.1f}' y1='{:.1f}' x2='{:.1f}' y2='{:.1f}'/>", f.px(f.x.low),
                     f.py(f.y.low), f.px(f.x.high), f.py(f.y.high));
  for (const Series& line : series) {
    if (line.x.size() == 1)
      s += fmt::format("<circle class='{}' cx='{:.1f}' cy='{:.1f}' r='3'/>", line.css_class, f.px(line.x[0]),
                       f.py(line.y[0]));
    s += fmt::format("<polyline class='line {}' points='", line.css_class);
    for (size_t i = 0; i < line.x.size(); i++) s += fmt::format("{:.1f},{:.1f} ", f.px(line.x[i]), f.py(line.y[i]));
    s += "'/>";
  }
  if (chart.marked >= 0 && size_t(chart.marked) < chart.series[0].x.size()) {
    const double x = chart.series[0].x[chart.marked], y = chart.series[0].y[chart.marked];
    if (std::isfinite(y))
      s += fmt::format(
          "<circle class='{}' cx='{:.1f}' cy='{:.1f}' r='4.5'/><text class='label {}' x='{:.1f}' y='{:.1f}' "
          "text-anchor='end'>{}</text>",
          chart.series[0].css_class, f.px(x), f.py(y), chart.series[0].css_class, f.px(x) - 4, f.py(y) - 10,
          escape_html(chart.mark_text));
  }
  return s + end_labels(f, series) + "</svg>\n";
}

std::string histogram(const std::string& title, const std::string& x_label, const std::vector<Series>& groups) {
  constexpr int bins = 25;
  std::vector<std::vector<double>> share;
  double most = 0;
  for (const Series& g : groups) {
    auto& bin = share.emplace_back(bins, 0.0);
    for (double v : g.x) bin[std::clamp(int(v * bins), 0, bins - 1)] += 1.0 / double(g.x.size());
    for (double b : bin) most = std::max(most, b);
  }
  if (most == 0) return "";
  const Frame f{{0, 1, 0.2}, nice_axis(0, most)};
  std::string s = axes(f, title, x_label);
  const double bar = (f.px(1.0 / bins) - f.px(0)) / double(groups.size()) - 0.6;
  for (size_t g = 0; g < groups.size(); g++)
    for (int b = 0; b < bins; b++)
      if (share[g][b] > 0)
        s += fmt::format("<rect class='{}' x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}'/>", groups[g].css_class,
                         f.px(double(b) / bins) + double(g) * (bar + 0.3) + 0.5, f.py(share[g][b]), bar,
                         f.py(0) - f.py(share[g][b]));
  for (size_t g = 0; g < groups.size(); g++)
    s += fmt::format("<text class='label {}' x='{}' y='{}'>{}</text>", groups[g].css_class, width - right + 6,
                     top + 16 + 16 * double(g), escape_html(groups[g].name));
  return s + "</svg>\n";
}

}  // namespace warpbert
