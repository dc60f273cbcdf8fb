#include "checkpoint.h"

#include <cmath>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "io/error.h"
#include "io/json.h"
#include "io/npz.h"
#include "run_directory.h"
#include "train/step/training.h"
#include "train/weights/host_arrays.h"
#include "train/weights/model_file.h"
#include "train/weights/names.h"
#include "train/weights/pretrained.h"

namespace warpbert {

using Json = nlohmann::json;  // restores doubles exactly

namespace {

constexpr const char* state_name = "state/run";
constexpr const char* scores_name = "state/best_scores";

struct Buffer {
  const char* prefix;
  float* data;
};
std::vector<Buffer> buffers(ParameterStore& store) {
  std::vector<Buffer> all = {{"", store.master_weights()}, {"optim.m/", store.m()}, {"optim.v/", store.v()}};
  if (store.ema_weights()) all.push_back({"ema/", store.ema_weights()});
  return all;
}

// Without paths, which may be moved.
Json options_json(const Options& options) {
  Json json = Json::object();
  for (const OptionInfo& option : option_list())
    if (option.type != "PATH") json[option.name()] = option_value(options, option.name());
  return json;
}

// Saved options over `now`, which has paths and newer options.
Options saved_options(const std::map<std::string, std::string>& saved, Options now) {
  for (const OptionInfo& option : option_list())
    if (const auto found = saved.find(option.name()); found != saved.end())
      set_option(now, {found->first, found->second});
  return now;
}

// Fields of one JSON value each.
template <class State, class Visit>
void for_each_field(State& s, Visit visit) {
  visit("step", s.step), visit("epoch", s.epoch), visit("step_in_epoch", s.step_in_epoch);
  visit("pass", s.train_step.pass), visit("updates", s.train_step.updates);
  visit("sums", s.train_step.sums), visit("norms", s.train_step.norms);
  visit("epoch_pairs", s.epoch_pairs), visit("epoch_seconds", s.epoch_seconds);
  visit("seconds", s.seconds), visit("stopped_early", s.stopped_early);
  visit("data_hash", s.data_hash);
}

std::string to_json(const RunState& s, const Session& session) {
  Json json = {{"format", 3}};
  for_each_field(s, [&](const char* key, const auto& field) { json[key] = field; });
  const LossSums& e = s.epoch_sums;
  json["epoch_sums"] = {e.mlm, e.cls, e.mlm_targets, e.cls_targets};
  json["spent"] = {s.spent.training, s.spent.waiting, s.spent.scoring, s.spent.saving};
  json["best"] = Json::array();
  for (const auto& [auc, epoch] : s.best) json["best"].push_back({auc, epoch});  // an undefined AUC is null
  json["start_hash"] = s.start_hash, json["weights_hash"] = session.data().weights_hash;
  json["options"] = options_json(session.options());
  return json.dump();
}

RunState from_json(const Json& json) {
  RunState s;
  if (json.at("format") != 3) throw std::runtime_error("an unknown format");
  for_each_field(s, [&]<class T>(const char* key, T& field) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
      field = io::json_integer<T>(json.at(key));
    else json.at(key).get_to(field);
  });
  const auto sums = json.at("epoch_sums").get<std::array<double, 4>>();
  s.epoch_sums = {sums[0], sums[1], sums[2], sums[3]};
  const auto spent = json.at("spent").get<std::array<double, 4>>();
  s.spent = {spent[0], spent[1], spent[2], spent[3]};
  for (const Json& entry : json.at("best")) {
    const double auc = entry.at(0).is_null() ? std::nan("") : entry.at(0).get<double>();
    s.best.emplace_back(auc, io::json_integer<int>(entry.at(1)));
  }
  s.start_hash = io::json_integer<uint64_t>(json.value("start_hash", Json(uint64_t(0))));
  if (json.contains("weights_hash")) s.weights_hash = io::json_integer<uint64_t>(json["weights_hash"]);
  s.options = json.value("options", s.options);
  return s;
}

}  // namespace

RunState read_checkpoint_state(io::Archive& archive) {
  const auto bytes = archive.load<uint8_t>(state_name);
  try {
    RunState state = from_json(Json::parse(bytes.begin(), bytes.end()));
    state.best_scores = archive.load<float>(scores_name);
    return state;
  } catch (const io::Error&) {
    throw;
  } catch (const std::exception& error) {
    io::fail("{}: {}: {}", archive.path(), state_name, error.what());
  }
}

void check_origin(io::Archive& archive, const RunState& state, const Options& options, const RunData& data) {
  const std::string& path = archive.path();
  if (const std::string text = differences_text(saved_options(state.options, options), options);
      !text.empty())
    throw DataChanged(fmt::format(
        "{}: of a run with another configuration: {}; remove it, or set run.directory to another folder",
        path, text));
  if (state.weights_hash && *state.weights_hash != data.weights_hash)
    throw DataChanged(fmt::format("{}: {}", path, weights_changed(options.model)));
  const bool same_vocabulary = load_vocabulary(archive) == data.vocabulary;
  const bool same_data = same_vocabulary && state.data_hash == data.data_hash;
  if (same_data && (!state.start_hash || state.start_hash == data.start_hash)) return;
  const std::string files = same_data ? options.data.vocab + " or " + options.data.counts
                            : !same_vocabulary && options.data.text ? options.data.vocab
                                                                    : data_files(options.data);
  throw DataChanged(fmt::format(
      "{}: {}{} is not what this run was started with; set run.directory to another folder", path,
      same_vocabulary ? "" : "its vocabulary is not that of the data; the data changed: ", files));
}

bool holds_best(const RunState& state, const Options& options) {
  if (state.best.empty()) return true;  // no epochs
  return state.best.front().second == state.epoch - 1 && options.train.ema == 0;
}

std::string weights_changed(const ModelOptions& model) {
  return (model.weights.empty() ? "model.weights is empty, but this run was started from weights"
                                : model.weights + " is not what this run was started with") +
         "; set run.directory to another folder";
}

std::string data_files(const DataOptions& data) {
  return data.test.empty() ? data.train : data.train + " or " + data.test;
}

void save_checkpoint(const std::string& path, Session& session, const RunState& state) {
  ParameterStore& store = session.bert().store;
  HostArrays parameters;
  for (const auto& [prefix, data] : buffers(store)) parameters.add(store, data, prefix);
  std::vector<io::ArrayView>& arrays = parameters.views;
  const VocabularyArrays words(session.data().vocabulary);
  const std::vector<uint8_t> meta = model_meta(session.bert().config);
  const std::string json = to_json(state, session);
  const std::vector<uint8_t> bytes(json.begin(), json.end());
  for (auto& view : words.views()) arrays.push_back(std::move(view));
  arrays.push_back(io::view(name::meta, {int64_t(meta.size())}, meta));
  arrays.push_back(io::view(state_name, {int64_t(bytes.size())}, bytes));
  arrays.push_back(io::view(scores_name, {int64_t(state.best_scores.size())}, state.best_scores));
  io::write_npz(path, arrays);
}

RunState load_checkpoint(const std::string& path, Session& session) {
  ParameterStore& store = session.bert().store;
  const auto archive = io::open_npz(path);
  archive->verify();  // before anything is overwritten
  RunState state = read_checkpoint_state(*archive);
  check_origin(*archive, state, session.options(), session.data());
  const size_t sums = 4 * size_t(local_shards(session.options().train).count);
  if (state.train_step.sums.size() != sums)
    io::fail("{}: {}: {} loss sums, expected {}", path, state_name, state.train_step.sums.size(), sums);
  for (const auto& [prefix, data] : buffers(store))
    for (const auto& array : store.named()) {
      require_float(archive->at(prefix + array.name), path);
      store.upload(data, array, archive->load<float>(prefix + array.name));
    }
  store.round_weights();
  return state;
}

}  // namespace warpbert
