// trireme evaluate CHECKPOINT | --ensemble CHECKPOINT,... [--data WHERE] [--json] [--section.key=value ...]: exact loss and
// metrics of a checkpoint or an ensemble.
#include <cstdio>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/timer.hpp"
#include "commands/arguments.hpp"
#include "commands/checkpoint_argument.hpp"
#include "commands/commands.hpp"
#include "data/verify.hpp"
#include "train/arrays.hpp"
#include "train/ensemble.hpp"
#include "train/evaluator.hpp"
#include "train/reading.hpp"
#include "train/standardization.hpp"

namespace trireme {

namespace {

void print_confusion(const MetricStatistics& m) {
  if (m.classes > 20) {
    log::info("confusion matrix: not printed for {} classes{}", m.classes,
              m.confusion.empty() ? fmt::format("; it is not computed for more than {} classes", Metrics::most_confused) : "; use --json to get it");
    return;
  }
  std::string text = "confusion matrix (rows: true, columns: predicted)\n      ";
  for (std::int64_t c = 0; c < m.classes; ++c) text += fmt::format("{:>7}", c);
  for (std::int64_t r = 0; r < m.classes; ++r) {
    text += fmt::format("\n{:>6}", r);
    for (std::int64_t c = 0; c < m.classes; ++c) text += fmt::format("{:>7}", m.confusion[static_cast<std::size_t>(r * m.classes + c)]);
  }
  log::info("{}", text);
}

/// Fails if the printed loss is not finite.
template <class T>
void require_finite(const Evaluator<T>& evaluator, const Metrics& metrics) {
  if (const std::string fault = evaluator.fault_of(metrics); !fault.empty()) throw fail(ExitCode::numerical, "the loss is {}: {}", metrics.loss, fault);
}

template <class T>
int evaluate(const std::vector<std::filesystem::path>& files, const std::vector<std::string>& overrides, bool combine, const Communicator& comm,
             const std::string& where, bool json) {
  Ensemble<T> ensemble(comm, files, overrides, combine);
  const Deck& deck = ensemble.deck();
  Network<T>& network = ensemble.network();
  ShardNames names = shard_names(deck);
  names.rows = rows_for(deck, where);
  ask_for_moments_of(comm, files.front(), names);
  const DataSet data(comm, where, names, network.input_shape(), label_demand(deck, network.input_shape(), network.output_shape()));
  tell_of_moments(data, names);
  tell_of_type(comm, files.front(), data);
  ensemble.read_from(data);
  const Progress progress = ensemble.members().front().progress;
  const std::filesystem::path& file = files.front();
  IoThread io;
  if (!json) verify_data(comm, io, deck.text("data.verify"), {&data});
  const Timer timer;
  Evaluator<T> evaluator(deck, comm, network, data, io, ensemble.batch());
  // The loss of mean probabilities: the softmax of their logarithms gives the probabilities again.
  if (combine) evaluator.replace_output([&](const Pass& pass, const HostBatch& batch) { return ensemble.complete(pass, batch, true); });
  const Metrics metrics = evaluator.run(Execution());
  if (json) {
    auto object = metrics.json(true);
    object["checkpoint"] = file.string();
    object["step"] = progress.step;
    if (combine) {
      object["members"] = nlohmann::json::array();
      for (const auto& member : ensemble.members()) object["members"].push_back(member.file.string());
    }
    object["epoch"] = progress.epoch;
    object["data"] = where;
    object["seconds"] = timer.seconds();
    if (comm.rank() == 0) std::printf("%s\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str()), std::fflush(stdout);
    require_finite(evaluator, metrics);
    return 0;
  }
  if (combine)
    log::info("ensemble of {} checkpoints, data {}: {} samples", files.size(), where, metrics.statistics.samples);
  else
    log::info("checkpoint {} (step {}), data {}: {} samples", file.string(), progress.step, where, metrics.statistics.samples);
  log::info("{}", metrics.text());
  if (metrics.statistics.targets == LossKind::Targets::classes) print_confusion(metrics.statistics);
  require_finite(evaluator, metrics);
  return 0;
}

int run_evaluate(const Communicator& comm, const Arguments& arguments) {
  const bool combine = arguments.flag("ensemble");
  if (combine && arguments.operands() > 0)
    throw usage_error("'{}' is one word too many: --ensemble names the checkpoints. Usage: {}", arguments.operand(0, ""), arguments.usage());
  if (combine && arguments.flag("best")) throw usage_error("--best and --ensemble exclude each other. Usage: {}", arguments.usage());
  const auto files = combine ? ensemble_argument(comm, arguments.option("ensemble"))
                             : std::vector{checkpoint_argument(comm, arguments.operand(0, "the checkpoint or run directory"), arguments.flag("best"))};
  const Deck saved = checkpoint_deck(comm, files.front());
  const Deck deck(saved.resolved(), saved.origin(), arguments.overrides());
  const std::string where = arguments.option("data", deck.text("data.test"));
  if (where.empty())
    throw usage_error("no data: the deck in '{}' has no data.test. Hint: give --data WHERE. Usage: {}", files.front().string(), arguments.usage());
  return deck.text("train.precision") == "fp64" ? evaluate<double>(files, arguments.overrides(), combine, comm, where, arguments.flag("json"))
                                                : evaluate<float>(files, arguments.overrides(), combine, comm, where, arguments.flag("json"));
}

}  // namespace

TRIREME_COMMAND(evaluate) {
  return {.operands = "CHECKPOINT",
          .help = "Prints the exact loss and metrics of a checkpoint or run directory on data, and for classes the confusion matrix.",
          .options = {{"ensemble", "CHECKPOINT,...", "instead of CHECKPOINT: evaluate the mean of several (a run directory of tasks: the newest of each)"},
                      {"best", "", "the checkpoint with the best validation, of a run directory with train.best, instead of the newest"},
                      {"data", "WHERE", "a directory, a glob or a list of HDF5 files (default: data.test of the deck inside the checkpoint)"},
                      {"json", "", "print one JSON object instead"}},
          .overrides = true,
          .place = 2,
          .run = run_evaluate};
}

}  // namespace trireme
