// trireme train DECK [--section.key=value ...] [--trace] [--profile] [--dry-run [--full]]
#include <cmath>
#include <type_traits>

#include "base/error.hpp"
#include "base/log.hpp"
#include "commands/arguments.hpp"
#include "commands/commands.hpp"
#include "commands/data_scan.hpp"
#include "commands/deck_file.hpp"
#include "run/exit_status_file.hpp"
#include "run/run_directory.hpp"
#include "run/run_folder.hpp"
#include "tasks/task_run.hpp"
#include "train/reading.hpp"
#include "train/statistics.hpp"
#include "train/trainer.hpp"

namespace trireme {

namespace {

/// A zero in the units of the file may be far from all data: for temperatures in kelvin, -27 standard deviations.
void warn_of_padding(const Deck& deck, const Shape& input) {
  constexpr double far = 5;
  if (deck.integer("data.crop") == 0 || deck.text("data.crop_fill") != "zero") return;
  double most = 0;
  for (const double shift : normalization(deck, input).shift) most = std::abs(shift) > std::abs(most) ? shift : most;
  if (std::abs(most) > far)
    log::warn(
        "data.crop pads samples with zeros in the units of the files. These are {:.3g} after normalization, which is far from the data. Hint: set "
        "data.crop_fill = mean or edge",
        most);
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
    log::info("dry run: deck, data and network are valid; no training");
    return 0;
  }
  const ExitCode code = trainer.run();
  if (code == ExitCode::numerical) throw fail(code, "{}", trainer.end_fault());
  return static_cast<int>(code);
}

int train(const Deck& deck, const Communicator& comm, bool dry_run, bool full) {
  if (deck.text("task.mode") != "none") return run_tasks(deck, comm, dry_run);
  return deck.text("train.precision") == "fp64" ? train_one<double>(deck, comm, dry_run, full) : train_one<float>(deck, comm, dry_run, full);
}

int run_train(const Communicator& comm, const Arguments& arguments) {
  auto overrides = arguments.overrides();
  if (arguments.flag("trace")) overrides.push_back("train.trace=true");
  if (arguments.flag("profile")) overrides.push_back("train.profile=true");
  const Deck given = shared_deck(comm, arguments.operand(0, "the deck"), overrides);
  if (arguments.flag("full") && !arguments.flag("dry-run"))
    throw usage_error(
        "--full needs --dry-run: it checks all values of the data. Usage: "
        "{}",
        arguments.usage());
  const auto run = run_path(given);
  require_run_folder(comm, run, given.text("task.mode") == "none" ? RunKind::single : RunKind::tasks);
  const Deck deck = with_statistics(comm, given, run);
  if (arguments.flag("dry-run")) return train(deck, comm, true, arguments.flag("full"));
  remove_exit_status(comm, run);
  const int code = [&] {
    try {
      return train(deck, comm, false, false);
    } catch (const Error& error) {
      std::error_code ignored;
      if (error.code() == ExitCode::requeue && std::filesystem::is_directory(run, ignored)) write_exit_status(comm, run, static_cast<int>(ExitCode::requeue));
      throw;
    }
  }();
  if (code == 0 || code == static_cast<int>(ExitCode::requeue)) write_exit_status(comm, run, code);
  return code;
}

}  // namespace

TRIREME_COMMAND(train) {
  return {.operands = "DECK",
          .help = "Trains, or continues from the newest checkpoint of the run directory.",
          .options = {{"trace", "", "write trace.json, a time line of each rank's phases for ui.perfetto.dev (train.trace)"},
                      {"profile", "", "end with a table of where the time of a step goes, layer by layer (train.profile)"},
                      {"dry-run", "", "build everything, train nothing, write nothing"},
                      {"full", "", "with --dry-run: also read all rows of the data and list what is wrong with them"}},
          .overrides = true,
          .place = 1,
          .needs_output = false,
          .run = run_train};
}

}  // namespace trireme
