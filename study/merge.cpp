// Lanes of a warp at the same instruction take the step together. Otherwise a step goes to lanes that no
// other lane can still join before its next rendezvous; among those, to the lowest address, as in min-PC
// reconvergence (-O0 keeps the source's order).
#include <algorithm>
#include <map>
#include <set>

#include "parts.h"
#include "symbols.h"

namespace warpbert::study {
namespace {

bool in_language(const std::string& file) {
  return file.starts_with("simt/") && !file.starts_with("simt/tests/");
}

// "float __shfl_xor_sync<float>(unsigned int, float, ...)" -> {"__shfl_xor_sync", "float"}
// "double warp_sum<32, double>(double, ...)" -> {"warp_sum", "double"}
std::pair<std::string, std::string> call_name(const std::string& function) {
  const size_t end = function.find_first_of("<(");
  const size_t begin = function.find_last_of(" :", end == 0 ? 0 : end - 1);
  std::string element;
  if (end != std::string::npos && function[end] == '<') {
    const size_t close = function.find('>', end), last = function.find_last_of("<, ", close) + 1;
    element = function.substr(last, close - last);
  }
  return {
      function.substr(begin == std::string::npos ? 0 : begin + 1,
                      end == std::string::npos ? end : end - (begin == std::string::npos ? 0 : begin + 1)),
      element};
}

using Key = std::pair<int, int>;  // kind, number of the chain's key

struct Lane {
  std::vector<std::pair<Key, const Event*>> events;
  size_t at = 0;
  bool done() const { return at == events.size(); }
  const Key& key() const { return events[at].first; }
  const Event& event() const { return *events[at].second; }
};

bool is_rendezvous(Event::Kind kind) { return kind == Event::barrier || kind == Event::collective; }

// True if the lane comes to `key` before its next rendezvous.
bool comes_to(const Lane& lane, const Key& key) {
  for (size_t i = lane.at; i < lane.events.size(); i++) {
    if (lane.events[i].first == key) return true;
    if (is_rendezvous(lane.events[i].second->kind)) return false;
  }
  return false;
}

Key choose(const std::array<Lane, 32>& lanes) {
  std::set<Key> candidates;
  for (const Lane& l : lanes)
    if (!l.done()) candidates.insert(l.key());
  if (candidates.size() == 1) return *candidates.begin();
  const auto eligible = [&](const Key& key) {
    return std::none_of(lanes.begin(), lanes.end(),
                        [&](const Lane& l) { return !l.done() && l.key() != key && comes_to(l, key); });
  };
  const auto lowest = [&](auto allowed) -> const Key* {
    const Key* best = nullptr;
    for (const Key& k : candidates)
      if (allowed(k) && (!best || k.second < best->second)) best = &k;
    return best;
  };
  const auto plain = [](const Key& k) { return !is_rendezvous(Event::Kind(k.first)); };
  if (const Key* k = lowest([&](const Key& c) { return plain(c) && eligible(c); })) return *k;
  if (const Key* k = lowest(plain)) return *k;
  return *lowest([](const Key&) { return true; });
}

}  // namespace

Places find_chains(const Recording& r, const std::string& root) {
  std::map<const void*, CodePlace> code;
  for (const auto& chain : r.chains)
    for (const void* p : chain) code.try_emplace(p);
  std::vector<const void*> addresses;
  for (const auto& [p, place] : code)
    addresses.push_back(static_cast<const char*>(p) - 1);  // the call itself
  const std::vector<CodePlace> found = find_places(addresses);
  size_t i = 0;
  for (auto& [p, place] : code) {
    place = found[i++];
    place.file = from_root(place.file, root);
  }

  Places places;
  std::map<std::vector<const void*>, int> known;
  for (const auto& chain : r.chains) {
    Place place;
    std::vector<const void*> key;
    size_t k = 0;
    for (; k < chain.size() && in_language(code[chain[k]].file); k++) {
      std::tie(place.call, place.element) = call_name(code[chain[k]].function);
      key.push_back(chain[k]);
    }
    for (; k < chain.size() && !in_language(code[chain[k]].file) && code[chain[k]].line; k++) {
      place.lines.push_back({code[chain[k]].file, code[chain[k]].line});
      key.push_back(chain[k]);
    }
    std::reverse(place.lines.begin(), place.lines.end());
    std::reverse(key.begin(), key.end());
    const auto [it, fresh] = known.try_emplace(key, int(places.all.size()));
    if (fresh) places.all.push_back(place);
    places.of_chain.push_back(it->second);
    places.key_of_chain.push_back(key);
  }
  return places;
}

void merge_lanes(Trace& trace, const Recording& r, const Places& places) {
  std::map<std::vector<const void*>, int> numbers;
  for (const auto& key : places.key_of_chain) numbers[key];
  int n = 0;
  for (auto& [key, number] : numbers) number = n++;

  const size_t warps = (r.threads.size() + 31) / 32;
  std::vector<std::vector<Step>> by_warp(warps);
  for (size_t w = 0; w < warps; w++) {
    std::array<Lane, 32> lanes;
    for (size_t l = 0; l < 32 && w * 32 + l < r.threads.size(); l++)
      for (const Event& e : r.threads[w * 32 + l]) {
        const std::string& call = trace.places[size_t(places.of_chain[size_t(e.chain)])].call;
        // Accesses of cp.async are the steps `copy` and `wait`.
        if (e.kind <= Event::atomic && (call == "cp_async16" || call == "cp_async_wait")) continue;
        lanes[l].events.push_back({{e.kind, numbers[places.key_of_chain[size_t(e.chain)]]}, &e});
      }
    for (;;) {
      if (std::all_of(lanes.begin(), lanes.end(), [](const Lane& l) { return l.done(); })) break;
      const Key key = choose(lanes);
      Step s;
      s.kind = Event::Kind(key.first), s.warp = int(w);
      // Parts of a warp may call a collective separately: one step per mask.
      unsigned members = ~0u;
      if (s.kind == Event::collective)
        for (const Lane& l : lanes)
          if (!l.done() && l.key() == key) {
            members = l.event().mask;
            break;
          }
      for (unsigned l = 0; l < 32; l++) {
        Lane& lane = lanes[l];
        if (lane.done() || lane.key() != key || !(members >> l & 1)) continue;
        s.mask |= 1u << l;
        s.lanes[l] = &lane.event();
        s.place = places.of_chain[size_t(lane.event().chain)];
        lane.at++;
      }
      // ldmatrix: the load is the step.
      const Event& first = *s.lanes[size_t(__builtin_ctz(s.mask))];
      if (s.kind == Event::collective && std::string(first.what).starts_with("ldmatrix")) continue;
      by_warp[w].push_back(s);
    }
  }

  std::vector<int> lengths;
  for (auto& steps : by_warp) {
    int epoch = 0, time = 0;
    for (Step& s : steps) {
      s.epoch = epoch, s.time = time++;
      if (lengths.size() <= size_t(epoch)) lengths.push_back(0);
      lengths[size_t(epoch)] = std::max(lengths[size_t(epoch)], time);
      if (s.kind == Event::barrier) epoch++, time = 0;
    }
  }
  for (const int length : lengths) trace.epoch_starts.push_back(trace.times), trace.times += length;
  for (auto& steps : by_warp)
    for (Step& s : steps) {
      s.time += trace.epoch_starts[size_t(s.epoch)];
      trace.steps.push_back(s);
    }
  std::stable_sort(trace.steps.begin(), trace.steps.end(), [](const Step& a, const Step& b) {
    return std::pair(a.time, a.warp) < std::pair(b.time, b.warp);
  });

  for (Step& copy : trace.steps) {
    if (copy.kind != Event::copy) continue;
    const int lane = __builtin_ctz(copy.mask), group = copy.lanes[size_t(lane)]->group;
    for (size_t i = 0; i < trace.steps.size() && copy.lands < 0; i++) {
      const Step& wait = trace.steps[i];
      if (wait.kind == Event::wait && wait.warp == copy.warp && wait.time > copy.time &&
          wait.mask >> lane & 1 && wait.lanes[size_t(lane)]->group > group)
        copy.lands = int(i);
    }
  }
}

}  // namespace warpbert::study
