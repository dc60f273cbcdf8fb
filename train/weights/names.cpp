#include "names.h"

#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>

#include "io/error.h"

namespace warpbert {

static bool starts_with_any(std::string_view name, std::initializer_list<std::string_view> beginnings) {
  for (const auto beginning : beginnings)
    if (name.starts_with(beginning)) return true;
  return false;
}

// False without suffix `end`.
static bool replace_end(std::string& name, std::string_view end, std::string_view replacement) {
  if (!name.ends_with(end)) return false;
  name.replace(name.size() - end.size(), end.size(), replacement);
  return true;
}

static CanonicalName from_google(std::string name) {
  for (const auto slot : {"/adam_m", "/adam_v", "/Adam", "/Adam_1"})
    if (name.ends_with(slot)) return {};
  for (char& c : name)
    if (c == '/') c = '.';
  for (size_t at; (at = name.find(".layer_")) != name.npos;) name[at + 6] = '.';  // layer_0 -> layer.0
  const bool transposed = replace_end(name, ".kernel", ".weight");
  replace_end(name, "_embeddings", "_embeddings.weight");
  replace_end(name, ".output_bias", ".bias");
  return {name, transposed};
}

CanonicalName canonical_name(std::string name) {
  if (starts_with_any(name, {"vocab/", "optim.", "ema/", "state/", "__meta__"}) || name == "global_step")
    return {};
  CanonicalName result{std::move(name)};
  if (starts_with_any(result.name, {"bert/", "cls/"})) result = from_google(std::move(result.name));
  std::string& n = result.name;
  if (starts_with_any(n, {"embeddings.", "encoder.", "pooler."})) n = "bert." + n;
  if (replace_end(n, ".LayerNorm.gamma", ".LayerNorm.weight") ||
      replace_end(n, ".LayerNorm.beta", ".LayerNorm.bias"))
    return result;
  if (starts_with_any(n, {"bert.pooler.", "cls.seq_relationship."}) || n == "bert.embeddings.position_ids" ||
      n == "bert.embeddings.token_type_ids")
    n.clear();
  return result;
}

// Names of modules that wrap a BERT saved without `bert.`. Others, as `roberta.`, hold other models.
static bool wraps(std::string_view prefix) {
  while (!prefix.empty()) {
    const std::string_view module = prefix.substr(0, prefix.find('.'));
    if (module != "module" && module != "_orig_mod" && module != "model" && module != "base_model" &&
        module != "auto_model" && module != "bert_model" && module != "encoder" && module != "backbone" &&
        module != "bert" && module != "0")
      return false;
    prefix.remove_prefix(module.size() + 1);
  }
  return true;
}

// False without suffix `end` after a module's name.
static bool remove_end(std::string_view& name, std::string_view end) {
  if (!name.ends_with(end)) return false;
  const std::string_view rest = name.substr(0, name.size() - end.size());
  if (!rest.empty() && rest.back() != '.' && rest.back() != '/') return false;
  name = rest;
  return true;
}

std::string wrapper_prefix(std::span<const std::string> names, const std::string& path) {
  std::optional<std::string_view> first;
  for (const std::string& name : names) {
    if (canonical_name(name).name.empty()) continue;
    std::string_view prefix = name;
    const bool bert = remove_end(prefix, name::word_embeddings) ||
                      remove_end(prefix, "bert/embeddings/word_embeddings") ||
                      (remove_end(prefix, "embeddings.word_embeddings.weight") && wraps(prefix));
    if (!bert) continue;
    if (prefix.empty()) return "";
    if (first && *first != prefix)
      io::fail("{}: holds several BERTs, '{}…' and '{}…'; save the one that is wanted alone", path, *first,
               prefix);
    first = prefix;
  }
  return std::string(first.value_or(""));
}

}  // namespace warpbert
