// trireme evaluate CHECKPOINT [--data WHERE] [--json] [--section.key=value ...]: exact loss and metrics.
#include <cstdio>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/timer.hpp"
#include "commands/arguments.hpp"
#include "commands/checkpoint_argument.hpp"
#include "commands/commands.hpp"
#include "train/evaluator.hpp"

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
int evaluate(const Deck& deck, const Communicator& comm, const std::filesystem::path& file, const std::string& where, bool json) {
  const std::int64_t batch = deck.integer("data.test_batch") > 0 ? deck.integer("data.test_batch") : deck.integer("data.batch");
  Network<T> network(deck, (batch + comm.size() - 1) / comm.size(), Network<T>::Use::inference);
  const DataSet data(comm, where, {deck.text("data.features"), deck.text("data.labels")}, network.input_shape(), label_demand(deck, network.input_shape(), network.output_shape()));
  const Progress progress = load_for_inference<T>(file, deck, comm, network);
  IoThread io;
  const Timer timer;
  Evaluator<T> evaluator(deck, comm, network, data, io, batch);
  const Metrics metrics = evaluator.run(Execution());
  if (json) {
    auto object = metrics.json(true);
    object["checkpoint"] = file.string();
    object["step"] = progress.step;
    object["epoch"] = progress.epoch;
    object["data"] = where;
    object["seconds"] = timer.seconds();
    if (comm.rank() == 0) std::printf("%s\n", object.dump().c_str());
    return 0;
  }
  log::info("checkpoint {} (step {}), data {}: {} samples", file.string(), progress.step, where, metrics.samples);
  log::info("{}", metrics.text());
  if (metrics.classification) print_confusion(metrics);
  return 0;
}

}  // namespace

int evaluate_command(const Communicator& comm, const std::vector<std::string>& words) {
  const std::string usage = "trireme evaluate CHECKPOINT [--data WHERE] [--json] [--section.key=value ...]";
  const Arguments arguments(words, usage, {"data"}, {"json"}, true);
  if (arguments.positionals() > 1)
    throw usage_error("'{}' is one word too many: one checkpoint is evaluated. Hint: --data names the data. Usage: {}", arguments.positional(1, ""), usage);
  const auto file = checkpoint_argument(comm, arguments.positional(0, "the checkpoint or run directory"));
  const Deck saved = checkpoint_deck(comm, file);
  const Deck deck(saved.resolved(), saved.origin(), arguments.overrides());
  const std::string where = arguments.option("data", deck.text("data.test"));
  if (where.empty()) throw usage_error("no data: the deck inside '{}' names no data.test. Hint: give --data WHERE. Usage: {}", file.string(), usage);
  return deck.text("train.precision") == "fp64" ? evaluate<double>(deck, comm, file, where, arguments.flag("json"))
                                                : evaluate<float>(deck, comm, file, where, arguments.flag("json"));
}

}  // namespace trireme
