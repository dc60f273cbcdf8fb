#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "page.h"
#include "simt/bf16.h"

namespace warpbert::study {
namespace {

// Four significant digits; NaN and infinity as text.
Json number(double x) {
  if (std::isnan(x)) return "NaN";
  if (std::isinf(x)) return x > 0 ? "Inf" : "-Inf";
  return std::strtod(fmt::format("{:.4g}", x).c_str(), nullptr);
}

template <class T>
T read(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

float from_half(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

Json values(const uint8_t* bytes, size_t n, const std::string& type) {
  Json all = Json::array();
  const auto each = [&](size_t size, auto show) {
    for (size_t i = 0; i + size <= n; i += size) all.push_back(show(bytes + i));
  };
  if (type == "bf16" && n >= 2)
    each(2, [](const uint8_t* p) { return number(from_half(read<uint16_t>(p))); });
  else if (type == "double" && n >= 8) each(8, [](const uint8_t* p) { return number(read<double>(p)); });
  else if ((type == "float" || type == "AdamStep") && n >= 4)
    each(4, [](const uint8_t* p) { return number(read<float>(p)); });
  else if (n < 4) each(1, [](const uint8_t* p) { return Json(*p); });
  else if (type == "unsigned" || type == "uint32_t")
    each(4, [](const uint8_t* p) { return Json(read<uint32_t>(p)); });
  else each(4, [](const uint8_t* p) { return Json(read<int32_t>(p)); });
  return all;
}

Json halves(const uint32_t* words, int n) {
  Json all = Json::array();
  for (int i = 0; i < n; i++)
    all.push_back(number(from_half(uint16_t(words[i])))),
        all.push_back(number(from_half(uint16_t(words[i] >> 16))));
  return all;
}
Json floats(const uint32_t* words, int n) {
  Json all = Json::array();
  for (int i = 0; i < n; i++) all.push_back(number(std::bit_cast<float>(words[i])));
  return all;
}

class Writer {
 public:
  Writer(const Trace& trace, const Recording& r) : trace_(trace), r_(r), number_(trace.arrays.size(), -1) {}

  Json step(const Step& s) {
    const Event& first = *s.lanes[size_t(__builtin_ctz(s.mask))];
    static constexpr const char* kinds[] = {"load",    "store", "atomic", "collective",
                                            "barrier", "copy",  "wait"};
    Json j = {{"t", s.time}, {"w", s.warp}, {"k", kinds[s.kind]}, {"p", s.place}, {"m", s.mask}};
    if (s.kind == Event::collective || s.kind == Event::barrier) j["op"] = first.what;
    else if (!trace_.places[size_t(s.place)].call.empty()) j["op"] = trace_.places[size_t(s.place)].call;
    if (s.kind <= Event::atomic || s.kind == Event::copy) {
      j["b"] = first.bytes;
      locate(j, "a", "o", s, &Event::address);
      if (s.kind == Event::copy) locate(j, "fa", "fo", s, &Event::from), j["g"] = first.group;
      if (s.kind == Event::copy) j["l"] = s.lands;
      const int memory = trace_.array_of(s.kind == Event::copy ? first.from : first.address);
      const std::string type = memory < 0 ? "int" : trace_.arrays[size_t(memory)].type;
      Json v = Json::array();
      for (const Event* e : s.lanes)
        if (e) v.push_back(values(e->value.data(), e->bytes, type));
      j["v"] = v;
    }
    if (s.least_sectors) j["sec"] = {s.sectors, s.least_sectors};
    if (s.least_passes) j["pas"] = {s.passes, s.least_passes};
    if (s.kind == Event::collective) operands(j, s, first);
    for (const Race& race : s.races) j["r"].push_back({race.lane, race.thread, race.step});
    return j;
  }

  Json arrays() const {
    Json all = Json::array();
    for (const size_t i : used_) {
      const Array& a = trace_.arrays[i];
      Json j = {{"name", a.name}, {"type", a.type}, {"bytes", a.bytes}, {"shared", a.shared}};
      if (a.shared) j["declared"] = fmt::format("{}:{}", a.declared.file, a.declared.line);
      all.push_back(j);
    }
    return all;
  }
  int use(int array) {
    if (array < 0) return -1;
    int& n = number_[size_t(array)];
    if (n < 0) n = int(used_.size()), used_.push_back(size_t(array));
    return n;
  }

 private:
  void locate(Json& j, const char* array, const char* offset, const Step& s, uintptr_t Event::*address) {
    Json arrays = Json::array(), offsets = Json::array();
    bool same = true;
    for (const Event* e : s.lanes) {
      if (!e) continue;
      const int memory = trace_.array_of(e->*address);
      arrays.push_back(use(memory));
      offsets.push_back(memory < 0 ? e->*address : e->*address - trace_.arrays[size_t(memory)].begin);
      same &= arrays.back() == arrays.front();
    }
    j[array] = same ? arrays.front() : arrays;
    j[offset] = offsets;
  }

  void operands(Json& j, const Step& s, const Event& first) {
    const std::string what = first.what;
    const bool shuffle = what.starts_with("__shfl"), reduce = what == "warp_sum" || what == "warp_max";
    if (what.starts_with("mma_")) {
      Json m = {{"a", Json::array()}, {"b", Json::array()}, {"c", Json::array()}, {"d", Json::array()}};
      for (const Event* e : s.lanes) {
        if (!e) continue;
        const Operands& o = r_.operands[size_t(e->operands)];
        m["a"].push_back(halves(o.in.data(), 4));
        m["b"].push_back(halves(o.in.data() + 4, 2));
        m["c"].push_back(floats(o.in.data() + 6, 4));
        m["d"].push_back(floats(o.out.data(), 4));
      }
      j["mma"] = m;
    }
    if (!shuffle && !reduce) return;
    const std::string& element = trace_.places[size_t(s.place)].element;
    const std::string type = element.empty() ? "float" : element;
    const size_t size = type == "double" ? 8 : 4;
    Json in = Json::array(), out = Json::array(), from = Json::array();
    for (const Event* e : s.lanes) {
      if (!e) continue;
      const Operands& o = r_.operands[size_t(e->operands)];
      const auto* before = reinterpret_cast<const uint8_t*>(o.in.data());
      const auto* after = reinterpret_cast<const uint8_t*>(o.out.data());
      in.push_back(values(before, size, type));
      out.push_back(values(after + (shuffle ? size : 0), size, type));
      if (shuffle) from.push_back(read<int>(before + 2 * size));
    }
    j["v"] = in, j["x"] = out;
    if (shuffle) j["f"] = from;
  }

  const Trace& trace_;
  const Recording& r_;
  std::vector<int> number_;
  std::vector<size_t> used_;
};

}  // namespace

Json trace_json(const Trace& trace, const Recording& r, const std::string& kernel, const Json& sizes) {
  Writer writer(trace, r);
  Json steps = Json::array();
  for (const Step& s : trace.steps) steps.push_back(writer.step(s));
  for (size_t i = 0; i < trace.arrays.size(); i++)
    if (trace.arrays[i].shared) writer.use(int(i));
  Json sources = Json::object();
  std::vector<std::string> files;
  for (const auto& [file, text] : trace.sources) sources[file] = text, files.push_back(file);
  Json places = Json::array();
  for (const Place& p : trace.places) {
    Json lines = Json::array();
    for (const SourceLine& l : p.lines)
      lines.push_back({std::find(files.begin(), files.end(), l.file) - files.begin(), l.line});
    places.push_back(lines);
  }
  const Totals& t = trace.totals;
  return {{"format", trace_format},
          {"kernel", kernel},
          {"variant", trace.variant},
          {"by", "g++ -O0, SIMT simulator"},
          {"facts", sizes},
          {"grid", r.grid},
          {"block", r.block},
          {"at", r.at},
          {"dynamic_shared", r.dynamic_bytes},
          {"times", trace.times},
          {"epochs", trace.epoch_starts},
          {"totals",
           {{"steps", t.steps},
            {"loads", t.loads},
            {"stores", t.stores},
            {"atomics", t.atomics},
            {"collectives", t.collectives},
            {"copies", t.copies},
            {"barriers", t.barriers},
            {"sectors", {t.sectors, t.least_sectors}},
            {"passes", {t.passes, t.least_passes}},
            {"races", t.races}}},
          {"arrays", writer.arrays()},
          {"places", places},
          {"sources", sources},
          {"steps", steps}};
}

}  // namespace warpbert::study
