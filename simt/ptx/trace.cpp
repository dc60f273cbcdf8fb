#include "trace.h"

#include <algorithm>
#include <array>
#include <bit>
#include <boost/core/demangle.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "simt/host/send.h"

namespace ptx {
namespace {

using Json = nlohmann::ordered_json;

bool has(const std::string& text, const char* part) { return text.find(part) != text.npos; }

// The request in PTX_TRACE.
struct Wanted {
  std::string kernel, file;
  Size3 block{};
};
const Wanted* wanted() {
  static const std::unique_ptr<Wanted> all = [] {
    const char* const text = std::getenv("PTX_TRACE");
    if (!text) return std::unique_ptr<Wanted>();
    auto w = std::make_unique<Wanted>();
    std::istringstream in(text);
    std::string numbers;
    std::getline(in, w->kernel, ':'), std::getline(in, numbers, ':'), std::getline(in, w->file);
    if (std::sscanf(numbers.c_str(), "%u,%u,%u", &w->block.x, &w->block.y, &w->block.z) != 3 ||
        w->file.empty()) {
      std::fprintf(stderr, "ptx: PTX_TRACE is \"%s\"; it must be KERNEL:X,Y,Z:FILE.json\n", text);
      std::exit(1);
    }
    return w;
  }();
  return all.get();
}

// Name of an instruction without its guard: "@%p1 ld.global.f32 ..." -> "ld.global.f32".
std::string opcode(const Instruction& i) {
  const size_t begin = i.text[0] == '@' ? i.text.find_first_not_of(" \t", i.text.find_first_of(" \t")) : 0;
  return i.text.substr(begin, i.text.find_first_of(" \t;", begin) - begin);
}
bool is_copy(const std::string& code) { return code.starts_with("cp.async.cg"); }
bool is_access(const std::string& code) {
  for (const char* begin : {"ld.global", "ld.shared", "st.", "ldmatrix", "atom", "red."})
    if (code.starts_with(begin)) return true;
  return is_copy(code);
}

// "void warpbert::kernels::(anonymous namespace)::f_kernel<float>(float*, int)" -> "f_kernel<float>"
std::string variant_of(const std::string& signature, const std::string& kernel) {
  const size_t begin = signature.find(kernel), end = signature.find('(', begin);
  std::string text = signature.substr(begin, end - begin);
  for (const char* space : {"warpbert::kernels::", "warpbert::"})
    for (size_t at; (at = text.find(space)) != text.npos;) text.erase(at, std::string(space).size());
  return text;
}

Json number(double x) {  // four significant digits
  if (!std::isfinite(x)) return std::isnan(x) ? "NaN" : x > 0 ? "Inf" : "-Inf";
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", x);
  return std::strtod(text, nullptr);
}

// Values by the instruction's type: ld.global.v4.f32 has floats, a packed pair of bf16 is a 32-bit integer.
Json values(const char* from, int bytes, const std::string& opcode) {
  Json all = Json::array();
  const bool f32 = has(opcode, ".f32"), f64 = has(opcode, ".f64"), half = opcode.starts_with("ldmatrix");
  const int size = f64 ? 8 : half ? 2 : bytes < 4 ? bytes : 4;
  for (int i = 0; i + size <= bytes; i += size) {
    uint64_t bits = 0;
    std::memcpy(&bits, from + i, size_t(size));
    if (f64) all.push_back(number(std::bit_cast<double>(bits)));
    else if (half) all.push_back(number(std::bit_cast<float>(uint32_t(bits) << 16)));
    else if (f32) all.push_back(number(std::bit_cast<float>(uint32_t(bits))));
    else all.push_back(int32_t(bits));
  }
  return all;
}

}  // namespace

struct Trace::Content {
  Content(const Kernel& k, Size3 g, Size3 b, Size3 i, unsigned d)
      : kernel(k),
        grid(g),
        block(b),
        index(i),
        dynamic_shared(d),
        epoch((b.x * b.y * b.z + lanes - 1) / lanes),
        group(epoch.size()) {}

  // Array (a device allocation, or the block's shared memory) and offset of an address.
  std::pair<int, uint64_t> locate(uint64_t address, bool shared) {
    uint64_t begin = 0, size = kernel.static_shared;
    if (!shared) {
      const auto [p, bytes] = device_block(reinterpret_cast<const char*>(address));
      begin = reinterpret_cast<uint64_t>(p), size = bytes;
    }
    const auto [it, fresh] = arrays_at.try_emplace({shared, begin}, int(arrays.size()));
    if (fresh) {
      const std::string name = shared ? "memory" : "array " + std::to_string(++device_arrays);
      arrays.push_back({{"name", name}, {"type", "by the instruction"}, {"bytes", size}, {"shared", shared}});
      if (shared)
        arrays.back()["bytes"] = kernel.dynamic_shared() + dynamic_shared, arrays.back()["declared"] = "PTX";
    }
    return {it->second, address - begin};
  }

  const char* data(Warp& w, const std::string& code, int lane) {
    const bool copy = code.starts_with("cp.async.cg");
    const uint64_t address = copy ? sources[size_t(lane)] : addresses[size_t(lane)];
    return has(code, ".shared") && !copy ? w.block.shared(address, 1, lane)
                                         : reinterpret_cast<const char*>(address);
  }

  int place(const std::string& line) {
    const auto [it, fresh] = places.try_emplace(line, int(places.size()));
    if (fresh) lines.push_back(line);
    return it->second;
  }

  const Kernel& kernel;
  const Size3 grid, block, index;
  const unsigned dynamic_shared;
  std::map<std::pair<bool, uint64_t>, int> arrays_at;
  std::vector<Json> arrays;
  int device_arrays = 0;
  std::map<std::string, int> places;
  std::vector<std::string> lines;
  struct Step {
    unsigned warp;
    int epoch;
    Json json;
    int waits;  // of a copy: the step that waits for it, by order of execution
  };
  std::vector<Step> steps;
  std::vector<int> epoch;  // of each warp
  std::vector<int> group;  // of each warp: cp.async groups that were committed
  // Lanes of the instruction that is about to run: a load may overwrite its own address register.
  std::array<uint64_t, lanes> addresses{}, sources{};
  Json loaded;
  decltype(Counts::totals) totals{};  // before it
};

Trace::Trace(std::unique_ptr<Content> content) : content_(std::move(content)) {}
Trace::~Trace() = default;

std::unique_ptr<Trace> Trace::start(const Kernel& kernel, Size3 grid, Size3 block, Size3 index,
                                    unsigned dynamic_shared) {
  static std::mutex mutex;
  static bool traced = false;
  const Wanted* const w = wanted();
  if (!w || index.x != w->block.x || index.y != w->block.y || index.z != w->block.z) return nullptr;
  const std::string name = boost::core::demangle(kernel.name.c_str());
  const size_t at = name.find("::" + w->kernel);
  const size_t end = at + 2 + w->kernel.size();
  if (at == name.npos || (name[end] != '<' && name[end] != '(')) return nullptr;
  const std::lock_guard lock(mutex);
  if (std::exchange(traced, true)) return nullptr;
  return std::unique_ptr<Trace>(
      new Trace(std::make_unique<Content>(kernel, grid, block, index, dynamic_shared)));
}

void Trace::before(Warp& w, const Instruction& i, Mask mask) {
  Content& c = *content_;
  const std::string code = opcode(i);
  if (!is_access(code)) return;
  c.totals = w.block.counts.totals;
  c.loaded = Json::array();
  const int bytes = i.bytes * i.pieces;
  for (int l = 0; l < lanes; l++) {
    if (!(mask >> l & 1)) continue;
    const uint64_t a = w.row(i.from[0])[l] + uint64_t(i.offset);
    c.addresses[size_t(l)] = has(code, ".shared") ? uint32_t(a) : a;
    if (is_copy(code)) c.sources[size_t(l)] = w.row(i.from[1])[l] + uint64_t(i.second_offset);
    if (!code.starts_with("st.")) c.loaded.push_back(values(c.data(w, code, l), bytes, code));
  }
}

void Trace::after(Warp& w, const Instruction& i, Mask mask) {
  Content& c = *content_;
  const std::string code = opcode(i);
  const bool access = is_access(code), copy = is_copy(code), wait = code.starts_with("cp.async.wait");
  if (code.starts_with("cp.async.commit")) c.group[w.number]++;
  const bool collective = i.arrived == Rendezvous::shuffle || i.arrived == Rendezvous::warp_barrier ||
                          (i.arrived == Rendezvous::aligned && !access);
  if (!access && !collective && !wait) return;
  Json j = {{"t", 0},    {"w", w.number}, {"k", "collective"}, {"p", c.place(i.line)},
            {"m", mask}, {"op", code}};
  if (wait) {
    j["k"] = "wait";
    const int complete = c.group[w.number] - int(w.row(i.from[0])[std::countr_zero(mask)]);
    for (Content::Step& s : c.steps)
      if (s.warp == w.number && s.json["k"] == "copy" && s.waits < 0 && s.json["g"] < complete)
        s.waits = int(c.steps.size());
  }
  if (access) {
    const bool load = code.starts_with("ld"), store = code.starts_with("st.");
    j["k"] = copy ? "copy" : load ? "load" : store ? "store" : "atomic";
    const int bytes = i.bytes * i.pieces;
    j["b"] = bytes;
    Json arrays = Json::array(), offsets = Json::array(), stored = Json::array(), from_arrays = Json::array(),
         from_offsets = Json::array();
    for (int l = 0; l < lanes; l++) {
      if (!(mask >> l & 1)) continue;
      const auto [array, offset] = c.locate(c.addresses[size_t(l)], has(code, ".shared"));
      arrays.push_back(array), offsets.push_back(offset);
      if (store) stored.push_back(values(c.data(w, code, l), bytes, code));
      if (!copy) continue;
      const auto [from, at] = c.locate(c.sources[size_t(l)], false);
      from_arrays.push_back(from), from_offsets.push_back(at);
    }
    const auto one = [](const Json& list) {
      return std::all_of(list.begin(), list.end(), [&](const Json& x) { return x == list.front(); })
                 ? list.front()
                 : list;
    };
    j["a"] = one(arrays), j["o"] = offsets, j["v"] = store ? stored : c.loaded;
    if (copy) j["fa"] = one(from_arrays), j["fo"] = from_offsets, j["g"] = c.group[w.number];
    const auto added = [&](Counts::Counter k) { return w.block.counts.totals[k] - c.totals[k]; };
    if (added(Counts::global_least)) j["sec"] = {added(Counts::global_sectors), added(Counts::global_least)};
    if (added(Counts::shared_least)) j["pas"] = {added(Counts::shared_passes), added(Counts::shared_least)};
  }
  c.steps.push_back({w.number, c.epoch[w.number], j, -1});
}

void Trace::barrier(Warp& w, const Instruction& i, Mask mask) {
  Content& c = *content_;
  const Json j = {{"t", 0},    {"w", w.number},  {"k", "barrier"}, {"p", c.place(i.line)},
                  {"m", mask}, {"op", opcode(i)}};
  c.steps.push_back({w.number, c.epoch[w.number]++, j, -1});
}

void Trace::write() {
  Content& c = *content_;
  // Times: warps run side by side between barriers.
  std::vector<int> length, next(c.epoch.size()), current(c.epoch.size());
  for (auto& s : c.steps) {
    if (current[s.warp] != s.epoch) current[s.warp] = s.epoch, next[s.warp] = 0;
    s.json["t"] = next[s.warp]++;
    length.resize(std::max(length.size(), size_t(s.epoch) + 1));
    length[size_t(s.epoch)] = std::max(length[size_t(s.epoch)], next[s.warp]);
  }
  std::vector<int> starts;
  int times = 0;
  for (const int n : length) starts.push_back(times), times += n;
  std::vector<size_t> order(c.steps.size()), place_of(c.steps.size());
  for (size_t k = 0; k < order.size(); k++) order[k] = k;
  for (auto& s : c.steps) s.json["t"] = s.json["t"].get<int>() + starts[size_t(s.epoch)];
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const auto key = [&](size_t k) { return std::pair(c.steps[k].json["t"].get<int>(), c.steps[k].warp); };
    return key(a) < key(b);
  });
  for (size_t k = 0; k < order.size(); k++) place_of[order[k]] = k;

  Json steps = Json::array();
  std::map<std::string, int> kinds;
  std::array<int, 2> sectors{}, passes{};
  for (const size_t k : order) {
    auto& s = c.steps[k];
    const std::string kind = s.json["k"];
    if (kind == "copy") s.json["l"] = s.waits < 0 ? -1 : int(place_of[size_t(s.waits)]);
    kinds[kind]++;
    for (const auto& [name, sum] : {std::pair("sec", &sectors), std::pair("pas", &passes)})
      if (s.json.contains(name))
        for (size_t n = 0; n < 2; n++) (*sum)[n] += s.json[name][n].get<int>();
    steps.push_back(s.json);
  }

  Json sources = Json::object(), places = Json::array();
  std::vector<std::string> files;
  for (const std::string& line : c.lines) {  // gelu.cu:31
    const size_t colon = line.rfind(':');
    std::string file = line.substr(0, colon);
    std::stringstream text;  // stays empty for CUDA's headers
    for (const char* folder : {"kernels/", "simt/"})
      if (std::ifstream in(WARPBERT_SOURCE "/" + (folder + file)); in) {
        text << in.rdbuf();
        file = folder + file;
        break;
      }
    auto found = std::find(files.begin(), files.end(), file);
    if (found == files.end()) {
      sources[file] = text.str();
      found = files.insert(files.end(), file);
    }
    const int number = colon == line.npos ? 1 : std::atoi(line.c_str() + colon + 1);
    places.push_back({{found - files.begin(), number}});
  }
  const std::string variant = variant_of(boost::core::demangle(c.kernel.name.c_str()), wanted()->kernel);
  const Json all = {{"format", 1},
                    {"kernel", wanted()->kernel.substr(0, wanted()->kernel.rfind("_kernel"))},
                    {"variant", variant},
                    {"by", "nvcc's PTX, interpreter"},
                    {"facts", Json::object()},
                    {"grid", {c.grid.x, c.grid.y, c.grid.z}},
                    {"block", {c.block.x, c.block.y, c.block.z}},
                    {"at", {c.index.x, c.index.y, c.index.z}},
                    {"dynamic_shared", c.dynamic_shared},
                    {"times", times},
                    {"epochs", starts},
                    {"totals",
                     {{"steps", steps.size()},
                      {"loads", kinds["load"]},
                      {"stores", kinds["store"]},
                      {"atomics", kinds["atomic"]},
                      {"collectives", kinds["collective"]},
                      {"copies", kinds["copy"]},
                      {"barriers", length.empty() ? 0 : length.size() - 1},
                      {"sectors", sectors},
                      {"passes", passes},
                      {"races", nullptr}}},
                    {"arrays", c.arrays},
                    {"places", places},
                    {"sources", sources},
                    {"steps", steps}};
  std::ofstream out(wanted()->file);
  out << all.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  if (!out.flush()) throw std::runtime_error("PTX_TRACE: cannot write " + wanted()->file);
}

}  // namespace ptx
