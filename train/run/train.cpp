#include "train.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "completion.h"
#include "disk_space.h"
#include "io/error.h"
#include "io/text.h"
#include "train/config/build_info.h"
#include "trainer.h"

namespace warpbert {
namespace {

// Protects results of a run whose checkpoints were removed. A run killed before its first checkpoint starts
// over and makes the same best.npz.
void check_start_over(const RunDirectory& directory) {
  const std::vector<std::string> there = directory.final_results();
  if (there.empty()) return;
  if (!directory.had_checkpoints()) return;
  io::fail(
      "{}: there already, and the checkpoints of its run are gone: the run cannot be resumed, and a new one "
      "would replace it; set run.directory to another folder, or remove this one",
      there[0]);
}

// Refuses processes with different input.
void agree(const Session& session) {
  ProcessGroup& group = ProcessGroup::world();
  std::string options;
  for (const OptionInfo& option : option_list())
    if (const std::string name = option.name(); option.type != "PATH" && !name.starts_with("run."))
      options += fmt::format("{} = {}\n", name, option_value(session.options(), name));
  const std::vector<std::string> names = group.gather(group.name());
  for (const auto& [what, value] : {std::pair{"build", build_info()},
                                    {"configuration", options},
                                    {"data", hash_text(session.data().start_hash)},
                                    {"model.weights", hash_text(session.data().weights_hash)}}) {
    const std::vector<std::string> all = group.gather(value);
    for (size_t r = 1; r < all.size(); r++)
      if (all[r] != all[0])
        throw std::runtime_error(
            fmt::format("{} has another {} than rank 0; start all with the same", names[r], what));
  }
}

int train_other(RunSetup&& setup) {
  ProcessGroup& group = ProcessGroup::world();
  RunData data = read_run_data(setup);
  if (group.broadcast("") == "finished") return 0;
  Session session(std::move(setup), std::move(data));
  agree(session);
  Trainer trainer(session, nullptr);
  if (const std::string checkpoint = group.broadcast(""); !checkpoint.empty()) trainer.resume(checkpoint);
  return trainer.run();
}

}  // namespace

// Only rank 0 sees the run directory; it broadcasts what to do.
int train(const Options& given) {
  ProcessGroup& group = ProcessGroup::world();
  group.set_wait_limit(given.run.wait_seconds);
  RunSetup setup(given, saved_shards(given));
  if (!group.is_root()) return train_other(std::move(setup));
  RunDirectory directory(setup.options.run.directory);
  const bool again = directory.holds_run_of(setup.options);
  RunData data = read_run_data(setup);
  if (const auto finished = again ? completion(directory, setup.options, data) : std::nullopt) {
    const Options& options = setup.options;
    group.broadcast("finished");
    directory.renew_config(options);
    RunLog(directory, options.run);  // run.csv or run.tensorboard may be newly set
    fmt::print("{}: this run is finished{}\n", io::printable(directory.path()),
               finished->stopped_early
                   ? fmt::format(", stopped after epoch {} by train.patience", finished->epochs)
               : may_grow(options) ? "; more train.epochs resume it"
                                   : "");
    return 0;
  }
  group.broadcast("trains");
  Session session(std::move(setup), std::move(data));
  agree(session);
  Trainer trainer(session, &directory);
  trainer.flush_log();
  check_disk_space(session);
  const std::string checkpoint = again ? trainer.load_newest() : "";
  group.broadcast(checkpoint);
  if (!checkpoint.empty()) {
    trainer.resume(checkpoint);
    fmt::print("{}: resuming from its last checkpoint\n", io::printable(directory.path()));
    std::error_code ignored;
    // Both cover fewer epochs; without the report the run counts as incomplete.
    for (const std::string& file : {directory.report(), directory.run_json()})
      std::filesystem::remove(file, ignored);
  } else {
    const std::vector<std::string> there = directory.results();
    if (!again && !there.empty())
      io::fail(
          "{}: there already, but its folder has no config.ini: it belongs to no run; a new run would "
          "replace it; set run.directory to another folder",
          there[0]);
    if (again) {
      check_start_over(directory);
      fmt::print("{}: no complete checkpoint; starting over\n", io::printable(directory.path()));
    }
    directory.start_over();
  }
  directory.save_config(session.options());
  fmt::print("started   {}\n", io::date_text(unix_time()));
  trainer.flush_log();
  return trainer.run();
}

}  // namespace warpbert
