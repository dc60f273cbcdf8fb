#include <algorithm>
#include <cmath>
#include <numbers>
#include <thread>

#include "bert.h"
#include "engine/fnv.h"
#include "engine/processors.h"
#include "engine/random.h"

namespace warpbert {

// An array's `site` for random4.
static uint32_t hash(const std::string& name) {
  Fnv<uint32_t> hash;
  hash.add(name);
  return hash.value();
}

// Standard normal, redrawn while |z| > 2 (Box & Muller 1958, one of the pair). Draw k of element i is group
// i·8 + k; the eighth is clamped, never in practice.
static float truncated_normal(uint64_t seed, uint32_t site, size_t i) {
  double z = 0;
  for (int k = 0; k < 8; k++) {
    const Random4 r = random4(seed, 0, site, uint64_t(i) * 8 + k);
    const double u = (r.v[0] + 1.0) / 4294967296.0, angle = 2 * std::numbers::pi * (r.v[1] / 4294967296.0);
    z = std::sqrt(-2 * std::log(u)) * std::cos(angle);
    if (std::abs(z) <= 2) return float(z);
  }
  return z > 0 ? 2.0f : -2.0f;
}

// Multithreaded: 91 M draws take one core ten seconds. Values depend on their index alone.
static void draw(std::vector<float>& values, uint64_t seed, uint32_t site, float sigma) {
  const size_t threads = std::clamp<size_t>(values.size() / 65536, 1, size_t(available_processors()));
  std::vector<std::jthread> others;
  const auto share = [&, threads](size_t part) {
    for (size_t i = values.size() * part / threads; i < values.size() * (part + 1) / threads; i++)
      values[i] = sigma * truncated_normal(seed, site, i);
  };
  for (size_t part = 1; part < threads; part++) others.emplace_back(share, part);
  share(0);
}

void initialise(Bert& bert, uint64_t seed, float sigma, const std::string& prefix) {
  ParameterStore& store = bert.store;
  for (const auto& array : store.named()) {
    if (!array.name.starts_with(prefix)) continue;
    const bool gain = array.name.ends_with("LayerNorm.weight"), vector = array.shape.size() == 1;
    std::vector<float> values(array.size, gain ? 1.0f : 0.0f);
    if (!vector) draw(values, seed, hash(array.name), sigma);
    store.upload(store.master_weights(), array, values);
  }
  store.round_weights();
}

}  // namespace warpbert
