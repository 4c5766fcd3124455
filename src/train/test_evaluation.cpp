#include "train/test_evaluation.hpp"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/printable.hpp"
#include "config/key_spec.hpp"
#include "train/arrays.hpp"

namespace trireme {

namespace {

const bool keys_are_known = add_deck_keys(
    {key("data.validation", KeySpec::Type::text, "",
         "Validation data, evaluated as data.test is, for train.best, train.patience, train.target and the plateau schedule: files in the form of data.train, "
         "or a fraction of data.train between 0 and 1, such as 0.1. The rows of a fraction are drawn with data.validation_seed and never trained on. Do not "
         "hold "
         "out a fraction of overlapping windows of a sequence: name other files or rows. Empty: no validation."),
     key("data.validation_rows", KeySpec::Type::text, "", "Rows of each validation file to use, in the form of data.train_rows. Empty: all."),
     number("data.validation_seed", KeySpec::Type::integer, "1", between(0, 9e18), "Seed of the choice of rows for a fraction in data.validation.")});

}  // namespace

std::optional<HeldOut> held_out_rows(const Deck& deck) {
  const std::string& text = deck.text("data.validation");
  if (text.empty() || text.find_first_not_of("0123456789.eE+-/") != std::string::npos || text.find_first_of("0123456789") == std::string::npos)
    return std::nullopt;
  const double fraction = parse_real(text, "data.validation");
  if (!(fraction > 0 && fraction < 1))
    throw usage_error("data.validation = {} is out of range. Expected a fraction of data.train, above 0 and below 1, or the files of validation data", text);
  return HeldOut{fraction, static_cast<std::uint64_t>(deck.integer("data.validation_seed"))};
}

namespace {

/// Whether two ranges of rows of one file have a row in common. A range that counts from the end is compared only with others that do, because the number
/// of rows is not known here.
bool overlap(const ExtentRange& a, const ExtentRange& b) {
  constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max();
  if (a.whole() || b.whole()) return true;
  const auto from_end = [](const ExtentRange& range) { return range.first < 0 || (range.first == 0 && range.end.value_or(0) < 0); };
  if (from_end(a) != from_end(b) || a.end.value_or(0) * a.first < 0 || b.end.value_or(0) * b.first < 0) return false;
  const auto bounds = [&](const ExtentRange& range) {
    const bool negative = from_end(range);
    return std::pair{negative && range.first == 0 ? -far : range.first, range.end ? *range.end : negative ? 0 : far};
  };
  const auto [first_a, end_a] = bounds(a);
  const auto [first_b, end_b] = bounds(b);
  return first_a < end_b && first_b < end_a;
}

/// The first file whose rows are evaluated and trained on; empty: none.
std::string shared_file(const DataSet& training, const DataSet& evaluated) {
  if (!overlap(training.names().rows, evaluated.names().rows)) return "";
  const auto file = [](const ShardInfo& shard) {
    std::error_code error;
    const auto path = std::filesystem::weakly_canonical(shard.path, error);
    return error ? shard.path : path.string();
  };
  std::set<std::string> trained;
  for (const ShardInfo& shard : training.shards())
    if (shard.rows > 0) trained.insert(file(shard));
  for (const ShardInfo& shard : evaluated.shards())
    if (shard.rows > 0 && trained.contains(file(shard))) return shard.path;
  return "";
}

}  // namespace

template <class T>
std::int64_t evaluation_batch(const RunContext& run, const Network<T>& network) {
  const std::int64_t wanted = run.deck.integer("data.test_batch"), virtual_ranks = virtual_ranks_of(run.deck, run.grid.shape());
  if (wanted > 0 && network.parallel_plan().micro_batches() == 1) return wanted;
  return network.largest_batch() * (virtual_ranks > 0 ? virtual_ranks : run.grid.shape().data);
}

template <class T>
TestEvaluation<T>::TestEvaluation(RunContext& run, TrainState<T>& state, const DataSet& training, const std::string& what)
    : run_(run), state_(state), what_(what), every_(run.deck.integer("train.evaluate_every")) {
  const std::string rows_key = "data." + what + "_rows";
  if (run.deck.text("data." + what).empty() && !run.deck.text(rows_key).empty())
    throw usage_error("{} = {} selects rows of data.{}, which is not set. Hint: set data.{} to the files (data.train for rows of the same files)", rows_key,
                      run.deck.text(rows_key), what, what);
  if (run.deck.text("data." + what).empty() || every_ <= 0) return;
  Network<T>& network = state.network();
  const auto held_out = what == "validation" ? held_out_rows(run.deck) : std::nullopt;
  if (held_out && !run.deck.text("data.validation_rows").empty())
    throw usage_error("data.validation_rows needs files in data.validation; found the fraction {}. Hint: leave one of them out",
                      run.deck.text("data.validation"));
  ShardNames evaluated = training.names();
  if (!held_out) evaluated.rows = parse_rows(run.deck, rows_key);
  data_.emplace(run.comm, run.deck.text(held_out ? "data.train" : "data." + what), evaluated, network.input_shape(), training.labels());
  if (!held_out && run.is_root())
    if (const std::string file = shared_file(training, *data_); !file.empty())
      log::warn(
          "data.{} evaluates rows of '{}' that data.train trains on: the {} metrics do not tell how the network does on new data. Hint: name other files, "
          "or other rows in data.train_rows and {}",
          what, printable(file), what, rows_key);
  if (held_out) data_->select(*held_out, true);
  const auto is_window = [](const ArraySource& array) { return !array.window.empty(); };
  if (held_out && run.is_root() && (std::ranges::any_of(evaluated.feature_arrays, is_window) || std::ranges::any_of(evaluated.label_arrays, is_window)))
    log::warn(
        "data.validation = {} holds out single samples, and windows of neighboring samples share time steps: the validation data are not independent of the "
        "training data. Hint: name files in data.validation, and their time steps in data.validation_rows",
        run.deck.text("data.validation"));
  evaluator_.emplace(run.deck, run.grid, network, *data_, run.io, evaluation_batch(run, network));
}

template <class T>
const std::optional<Metrics>& TestEvaluation<T>::run(const std::function<bool()>& stop) {
  state_.exchange_average();
  try {
    metrics_ = evaluator_->run_unless(run_.exec, stop);
  } catch (...) {
    state_.exchange_average();
    throw;
  }
  state_.exchange_average();
  if (metrics_) measured_step_ = state_.progress().step;
  if (run_.is_root())
    if (const std::string fault = this->fault(); !fault.empty()) log::warn("the {} loss is {}: {}", what_, metrics_->loss, fault);
  return metrics_;
}

template <class T>
std::vector<std::string> TestEvaluation<T>::metric_names() const {
  std::vector<std::string> names{"loss"};
  const auto of_loss = [](const DeckSection& section) { return section.kind() == "loss"; };
  const bool several = std::ranges::count_if(run_.deck.named_sections(), of_loss) > 1;
  for (const DeckSection& section : run_.deck.named_sections()) {
    if (!of_loss(section)) continue;
    const std::string of = several ? section.name() + "." : "";  // which of these apply is known at the first evaluation
    if (several) names.push_back(of + "loss");
    for (const MetricKind& kind : metric_kinds()) names.push_back(of + kind.name);
  }
  if (names.size() > 1) return names;
  MetricStatistics statistics;
  const LossTargets targets = loss_targets(run_.deck, state_.network().output_shape());
  statistics.targets = targets.type;
  statistics.classes = targets.classes;
  if (targets.classes > 0 && targets.classes <= Metrics::most_confused)
    statistics.confusion.resize(static_cast<std::size_t>(targets.classes * targets.classes));
  for (const MetricKind& kind : metric_kinds())
    if (kind.applies(statistics)) names.push_back(kind.name);
  return names;
}

template std::int64_t evaluation_batch(const RunContext&, const Network<float>&);
template std::int64_t evaluation_batch(const RunContext&, const Network<double>&);
template class TestEvaluation<float>;
template class TestEvaluation<double>;

}  // namespace trireme
