// trireme train DECK [--section.key=value ...] [--trace] [--profile] [--dry-run [--full]]
#include <cmath>
#include <type_traits>

#include "base/error.hpp"
#include "base/log.hpp"
#include "commands/arguments.hpp"
#include "commands/commands.hpp"
#include "commands/data_scan.hpp"
#include "commands/deck_file.hpp"
#include "train/exit_mark.hpp"
#include "train/reading.hpp"
#include "train/run_directory.hpp"
#include "train/run_folder.hpp"
#include "train/task_run.hpp"
#include "train/trainer.hpp"

namespace trireme {

namespace {

/// Zeros of the files may be far from all that they hold: -27 standard deviations of temperatures in kelvin.
void warn_of_padding(const Deck& deck, const Shape& input) {
  constexpr double far = 5;
  if (deck.integer("data.crop") == 0 || deck.text("data.crop_fill") != "zero") return;
  double most = 0;
  for (const double shift : normalisation(deck, input).shift) most = std::abs(shift) > std::abs(most) ? shift : most;
  if (std::abs(most) > far)
    log::warn("data.crop puts zeros of the files around samples, which are {:.3g} after data.scale, mean and std. Hint: data.crop_fill = mean or edge", most);
}

template <class T>
int train_one(const Deck& deck, const Communicator& comm, bool dry_run, bool full) {
  Trainer<T> trainer(deck, comm, nullptr, dry_run);
  warn_of_padding(deck, trainer.network().input_shape());
  if (dry_run && full) {
    constexpr bool single = std::is_same_v<T, float>;
    scan_data(comm, deck, trainer.train_data(), trainer.network().input_shape(), single, trainer.io());
    if (trainer.test_data()) scan_data(comm, deck, *trainer.test_data(), trainer.network().input_shape(), single, trainer.io());
  }
  if (dry_run) {
    log::info("dry run: everything was built; nothing was trained");
    return 0;
  }
  return static_cast<int>(trainer.run());
}

int train(const Deck& deck, const Communicator& comm, bool dry_run, bool full) {
  if (deck.text("task.mode") != "none") return run_tasks(deck, comm, dry_run);
  return deck.text("train.precision") == "fp64" ? train_one<double>(deck, comm, dry_run, full) : train_one<float>(deck, comm, dry_run, full);
}

}  // namespace

int train_command(const Communicator& comm, const std::vector<std::string>& words) {
  const std::string usage = "trireme train DECK [--section.key=value ...] [--trace] [--profile] [--dry-run [--full]]";
  const Arguments arguments(words, usage, {}, {"trace", "profile", "dry-run", "full"}, true);
  if (arguments.positionals() > 1) throw usage_error("'{}' is one word too many: a run has one deck. Usage: {}", arguments.positional(1, ""), usage);
  auto overrides = arguments.overrides();
  if (arguments.flag("trace")) overrides.push_back("train.trace=true");
  if (arguments.flag("profile")) overrides.push_back("train.profile=true");
  const Deck deck = shared_deck(comm, arguments.positional(0, "the deck"), overrides);
  if (arguments.flag("full") && !arguments.flag("dry-run")) throw usage_error("--full goes with --dry-run: all numbers of the data are looked at. Usage: {}", usage);
  const auto run = run_path(deck);
  require_run_folder(comm, run);
  if (arguments.flag("dry-run")) return train(deck, comm, true, arguments.flag("full"));
  clear_exit_mark(comm, run);
  const int code = [&] {
    try {
      return train(deck, comm, false, false);
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
