#include "names.h"

#include <initializer_list>
#include <string_view>
#include <utility>

namespace warpbert {

static bool starts_with_any(std::string_view name, std::initializer_list<std::string_view> beginnings) {
  for (const auto beginning : beginnings)
    if (name.starts_with(beginning)) return true;
  return false;
}

// Replaces the suffix `end`; returns false if there is none.
static bool replace_end(std::string& name, std::string_view end, std::string_view replacement) {
  if (!name.ends_with(end)) return false;
  name.replace(name.size() - end.size(), end.size(), replacement);
  return true;
}

static CanonicalName from_google(std::string name) {
  if (name.ends_with("/adam_m") || name.ends_with("/adam_v")) return {};
  for (char& c : name)
    if (c == '/') c = '.';
  for (size_t at; (at = name.find(".layer_")) != name.npos;) name[at + 6] = '.';  // layer_0 -> layer.0
  const bool transposed = replace_end(name, ".kernel", ".weight");
  replace_end(name, "_embeddings", "_embeddings.weight");
  replace_end(name, ".output_bias", ".bias");
  return {name, transposed};
}

CanonicalName canonical_name(std::string name) {
  // Our vocabulary and checkpoint arrays, the converter's metadata, TensorFlow's step counter.
  if (starts_with_any(name, {"vocab/", "optim.", "state/", "__meta__"}) || name == "global_step") return {};
  CanonicalName result{std::move(name)};
  if (starts_with_any(result.name, {"bert/", "cls/"})) result = from_google(std::move(result.name));
  std::string& n = result.name;
  if (starts_with_any(n, {"embeddings.", "encoder.", "pooler."})) n = "bert." + n;
  if (replace_end(n, ".LayerNorm.gamma", ".LayerNorm.weight") ||
      replace_end(n, ".LayerNorm.beta", ".LayerNorm.bias"))
    return result;
  if (starts_with_any(n, {"bert.pooler.", "cls.seq_relationship."}) || n == "bert.embeddings.position_ids")
    n.clear();
  return result;
}

}  // namespace warpbert
