// trireme evaluate CHECKPOINT | --ensemble CHECKPOINT,... [--data WHERE] [--json] [--section.key=value ...]: exact loss and metrics.
#include <cstdio>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/timer.hpp"
#include "commands/arguments.hpp"
#include "commands/checkpoint_argument.hpp"
#include "commands/commands.hpp"
#include "train/ensemble.hpp"
#include "train/evaluator.hpp"
#include "train/shard_names.hpp"

namespace trireme {

namespace {

void print_confusion(const Metrics& m) {
  if (m.classes > 20) {
    log::info("confusion matrix: {} classes are too many to print; --json has it", m.classes);
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

template <class T>
int evaluate(const std::vector<std::filesystem::path>& files, const std::vector<std::string>& overrides, bool combine, const Communicator& comm,
             const std::string& where, bool json) {
  Ensemble<T> ensemble(comm, files, overrides, combine);
  const Deck& deck = ensemble.deck();
  Network<T>& network = ensemble.network();
  const DataSet data(comm, where, shard_names(deck), network.input_shape(), label_demand(deck, network.input_shape(), network.output_shape()));
  ensemble.read_from(data);
  const Progress progress = ensemble.members().front().progress;
  const std::filesystem::path& file = files.front();
  IoThread io;
  const Timer timer;
  Evaluator<T> evaluator(deck, comm, network, data, io, ensemble.batch());
  // The loss of mean probabilities: their logarithms are scores whose softmax they are.
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
    if (comm.rank() == 0) std::printf("%s\n", object.dump().c_str());
    return 0;
  }
  if (combine)
    log::info("ensemble of {} checkpoints, data {}: {} samples", files.size(), where, metrics.samples);
  else
    log::info("checkpoint {} (step {}), data {}: {} samples", file.string(), progress.step, where, metrics.samples);
  log::info("{}", metrics.text());
  if (metrics.classification) print_confusion(metrics);
  return 0;
}

}  // namespace

int evaluate_command(const Communicator& comm, const std::vector<std::string>& words) {
  const std::string usage = "trireme evaluate CHECKPOINT | --ensemble CHECKPOINT,... [--data WHERE] [--json] [--section.key=value ...]";
  const Arguments arguments(words, usage, {"data", "ensemble"}, {"json"}, true);
  const bool combine = arguments.flag("ensemble");
  const std::size_t expected = combine ? 0 : 1;
  if (arguments.positionals() > expected)
    throw usage_error("'{}' is one word too many: one checkpoint is evaluated. Hint: --data names the data, --ensemble several checkpoints. Usage: {}",
                      arguments.positional(expected, ""), usage);
  const auto files = combine ? ensemble_argument(comm, arguments.option("ensemble"))
                             : std::vector{checkpoint_argument(comm, arguments.positional(0, "the checkpoint or run directory"))};
  const Deck saved = checkpoint_deck(comm, files.front());
  const Deck deck(saved.resolved(), saved.origin(), arguments.overrides());
  const std::string where = arguments.option("data", deck.text("data.test"));
  if (where.empty()) throw usage_error("no data: the deck inside '{}' names no data.test. Hint: give --data WHERE. Usage: {}", files.front().string(), usage);
  return deck.text("train.precision") == "fp64" ? evaluate<double>(files, arguments.overrides(), combine, comm, where, arguments.flag("json"))
                                                : evaluate<float>(files, arguments.overrides(), combine, comm, where, arguments.flag("json"));
}

}  // namespace trireme
