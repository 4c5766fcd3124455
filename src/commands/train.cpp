// trireme train DECK [--section.key=value ...] [--trace] [--profile] [--dry-run]
#include "base/error.hpp"
#include "base/log.hpp"
#include "commands/arguments.hpp"
#include "commands/commands.hpp"
#include "commands/deck_file.hpp"
#include "train/exit_mark.hpp"
#include "train/run_directory.hpp"
#include "train/run_folder.hpp"
#include "train/task_run.hpp"
#include "train/trainer.hpp"

namespace trireme {

namespace {

template <class T>
int train_one(const Deck& deck, const Communicator& comm, bool dry_run) {
  Trainer<T> trainer(deck, comm, nullptr, dry_run);
  if (dry_run) {
    log::info("dry run: everything was built; nothing was trained");
    return 0;
  }
  return static_cast<int>(trainer.run());
}

int train(const Deck& deck, const Communicator& comm, bool dry_run) {
  if (deck.text("task.mode") != "none") return run_tasks(deck, comm, dry_run);
  return deck.text("train.precision") == "fp64" ? train_one<double>(deck, comm, dry_run) : train_one<float>(deck, comm, dry_run);
}

}  // namespace

int train_command(const Communicator& comm, const std::vector<std::string>& words) {
  const std::string usage = "trireme train DECK [--section.key=value ...] [--trace] [--profile] [--dry-run]";
  const Arguments arguments(words, usage, {}, {"trace", "profile", "dry-run"}, true);
  if (arguments.positionals() > 1) throw usage_error("'{}' is one word too many: a run has one deck. Usage: {}", arguments.positional(1, ""), usage);
  auto overrides = arguments.overrides();
  if (arguments.flag("trace")) overrides.push_back("train.trace=true");
  if (arguments.flag("profile")) overrides.push_back("train.profile=true");
  const Deck deck = shared_deck(comm, arguments.positional(0, "the deck"), overrides);
  const auto run = run_path(deck);
  require_run_folder(comm, run);
  if (arguments.flag("dry-run")) return train(deck, comm, true);
  clear_exit_mark(comm, run);
  const int code = [&] {
    try {
      return train(deck, comm, false);
    } catch (const Error& error) {
      std::error_code ignored;
      if (error.code() == ExitCode::requeue && std::filesystem::is_directory(run, ignored)) leave_exit_mark(comm, run, static_cast<int>(ExitCode::requeue));
      throw;
    }
  }();
  if (code == 0 || code == static_cast<int>(ExitCode::requeue)) leave_exit_mark(comm, run, code);
  return code;
}

}  // namespace trireme
