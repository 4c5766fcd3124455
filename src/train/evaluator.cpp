#include "train/evaluator.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>

#include "kokkos_kernels/metrics.hpp"

namespace trireme {

namespace {

/// Blocks of rows: lanes where these are no fewer than ranks.
int blocks_of(const Deck& deck, const ProcessGrid& grid) {
  const std::int64_t lanes = deck.integer("data.lanes");
  return lanes >= grid.shape().data ? static_cast<int>(lanes) : grid.shape().data;
}

constexpr std::size_t binary_counts = 6;  // of count_binary

bool binary_loss(LossKind kind) { return kind == LossKind::bce || kind == LossKind::bce_with_logits; }

/// Sums of n numbers over `slots` places, added in the order of these; `mine` are those of the places from `first` on, of which each is one rank's.
std::vector<double> sum_in_order(const Communicator& comm, std::int64_t slots, std::int64_t first, std::span<const double> mine, std::size_t n) {
  std::vector<double> all(static_cast<std::size_t>(slots) * n), sums(n);
  std::ranges::copy(mine, all.begin() + first * static_cast<std::ptrdiff_t>(n));
  comm.all_reduce(std::span(all));  // of each number all but one are zero
  for (std::size_t i = 0; i < all.size(); ++i) sums[i % n] += all[i];
  return sums;
}

/// Outputs of a sample that a rank has once the channels are gathered.
template <class T>
std::int64_t gathered_outputs(const Network<T>& network) {
  const Shape& local = network.local_output();
  return network.output_cuts().empty() ? local.size() : local.size() / local[0] * network.output_shape()[0];
}

}  // namespace

template <class T>
Evaluator<T>::Evaluator(const Deck& deck, const Communicator& comm, Network<T>& network, const DataSet& data, IoThread& io, std::int64_t batch)
    : Evaluator(deck, *new ProcessGrid(comm, {.data = comm.size()}), network, data, io, batch) {
  own_grid_.reset(&grid_);
}

template <class T>
Evaluator<T>::Evaluator(const Deck& deck, const ProcessGrid& grid, Network<T>& network, const DataSet& data, IoThread& io, std::int64_t batch)
    : grid_(grid),
      network_(network),
      data_(data),
      sharer_sums_(grid),
      last_(grid.place().last_stage()),
      counts_samples_(last_ && grid.place().tensor == 0 && (network.output_box() || grid.place().spatial_rank() == 0)),
      seed_(static_cast<std::uint64_t>(deck.integer("run.seed"))),
      blocks_(blocks_of(deck, grid)),
      fixed_order_(deck.integer("data.lanes") > 0),
      own_blocks_(share_of(blocks_, grid.place().data, grid.shape().data)),
      stream_options_{.batch = batch, .ranks = blocks_, .order = BatchStream::Order::blocks},
      io_(io),
      stager_(deck, data, network.input_shape(), network.output_shape(), network.largest_batch(), staged_part(network, false)),
      outputs_(gathered_outputs(network)),
      loss_(deck, network.output_shape(), outputs_, network.largest_batch()),
      kind_(loss_kind(deck)),
      classes_(kind_ == LossKind::cross_entropy ? network.output_shape().size() : 0),
      confuses_(classes_ > 0 && classes_ <= Metrics::most_confused) {
  read_part(stream_options_, deck, network, data, false);
  const auto outputs = static_cast<std::size_t>(outputs_), blocks = static_cast<std::size_t>(own_blocks_.count);
  losses_.resize(blocks);
  if (!network.output_cuts().empty()) {
    shares_.emplace(network.output_cuts(), outputs_ / network.output_shape()[0], &grid.tensor(), grid.place().tensor, network.largest_batch());
    gathered_ = Buffer<T>("trireme::evaluator::gathered", outputs * static_cast<std::size_t>(network.largest_batch()));
  }
  rows_.resize(blocks);
  if (kind_ == LossKind::cross_entropy)
    counts_ = Buffer<std::int64_t>("trireme::evaluator::counts", 3 + (confuses_ ? classes_ * classes_ : 0));
  else
    sums_ = Buffer<OutputSums>("trireme::evaluator::sums", last_ ? outputs * blocks : 0);
  if (binary_loss(kind_)) counts_ = Buffer<std::int64_t>("trireme::evaluator::counts", binary_counts);
}

template <class T>
void Evaluator<T>::look(bool failed) {
  std::array<int, 2> told{(*looks_.stop)() ? 1 : 0, failed ? 1 : 0};
  grid_.run().all_reduce(std::span<int>(told), MPI_MAX);
  --looks_.left;
  looks_.over = told[0] + told[1] > 0;
  looks_.stopped = told[0] > 0 && told[1] == 0;
}

template <class T>
bool Evaluator<T>::goes_on() {
  if (looks_.left > 0 && !looks_.over && looks_.batch++ % looks_.every == 0) look(false);
  return !looks_.over;
}

// Ranks agree between batches: as often on each, however many batches it has, so that all give up at one of these looks. An error on one rank is told there, too.
template <class T>
bool Evaluator<T>::evaluate(const Execution& exec, const std::function<bool()>& stop) {
  constexpr std::int64_t most_looks = 100;
  looks_ = {};
  if (stop) {
    const auto ceiling = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
    const std::int64_t batches = std::max<std::int64_t>(ceiling(data_.size(), stream_options_.batch), 1) * ceiling(blocks_, grid_.shape().data);
    looks_.stop = &stop;
    looks_.left = std::min(batches, most_looks);
    looks_.every = ceiling(batches, looks_.left);
  }
  std::exception_ptr error;
  try {
    for (std::size_t block = 0; block < losses_.size() && !looks_.over; ++block) evaluate_block(exec, block);
  } catch (...) {
    // Where ranks hold parts of one model it cannot wait: others do, in messages.
    if (grid_.shape().model_ranks() > 1) throw;
    error = std::current_exception();
  }
  while (looks_.left > 0 && !looks_.over) look(error != nullptr);
  if (error) std::rethrow_exception(error);
  return !looks_.stopped;
}

template <class T>
std::int64_t Evaluator<T>::data_memory() const {
  BatchStream::Options options = stream_options_;
  options.rank = static_cast<int>(own_blocks_.first);
  return BatchStream(data_, io_, options).memory();
}

template <class T>
void Evaluator<T>::evaluate_block(const Execution& exec, std::size_t block) {
  stream_options_.rank = static_cast<int>(own_blocks_.first + static_cast<std::int64_t>(block));
  if (!stream_ || own_blocks_.count > 1) {
    stream_.reset();  // memory of one stream at a time
    stream_ = std::make_unique<BatchStream>(data_, io_, stream_options_);
  }
  stream_->seek(0, 0);
  while (goes_on()) {
    const HostBatch& batch = stream_->next();
    if (batch.count == 0) break;
    const Pass pass{.exec = exec, .samples = batch.count, .training = false, .seed = seed_, .fixed_order = fixed_order_, .sum_over = sharer_sums_.function()};
    const Targets<T> targets = stager_.load(pass, batch, network_.input());
    network_.forward(pass);
    if (!last_) continue;
    Span<const T> output = output_ ? output_(pass, batch) : network_.output();
    if (shares_) {
      shares_->gather(exec, batch.count, output, gathered_);
      output = gathered_;
    }
    loss_.apply(exec, batch.count, batch.count, output, targets, Span<T>());
    count_batch(exec, batch, block, output, targets);
    double value = 0;
    Kokkos::deep_copy(exec, Kokkos::View<double, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(&value),
                      Kokkos::View<double, Memory, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(loss_.value().data()));
    exec.fence("trireme::evaluator: loss to the host");
    losses_[block] += value;
  }
}

template <class T>
void Evaluator<T>::count_batch(const Execution& exec, const HostBatch& batch, std::size_t block, Span<const T> output, const Targets<T>& targets) {
  const std::int64_t confusion = confuses_ ? classes_ * classes_ : 0;
  if (kind_ == LossKind::cross_entropy) {
    count_classes<T>(exec, batch.count, outputs_, output, targets.classes, {slice<std::int64_t>(counts_, 0, 3), slice<std::int64_t>(counts_, 3, confusion)});
    return;
  }
  const bool logits = kind_ == LossKind::bce_with_logits, first = rows_[block] == 0;
  if (binary_loss(kind_)) count_binary<T>(exec, batch.count, outputs_, logits ? T{} : T(0.5), output, targets.values, counts_);
  sum_errors<T>(exec, batch.count, outputs_, first, logits, output, targets.values, slice<OutputSums>(sums_, static_cast<std::int64_t>(block) * outputs_, outputs_));
  rows_[block] += batch.count;
}

template <class T>
void Evaluator<T>::add_counts(Metrics& metrics) {
  std::vector<std::int64_t> counts(counts_.size(), 0);
  // A sample's outputs may lie on several ranks, which then all count theirs; what several have whole one of them counts.
  if (counts_samples_) Kokkos::deep_copy(Kokkos::View<std::int64_t*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(counts.data(), counts.size()), counts_);
  grid_.run().all_reduce(std::span(counts));
  if (kind_ == LossKind::cross_entropy)
    metrics.set_classes(classes_, counts);
  else
    metrics.set_binary(counts);
}

template <class T>
void Evaluator<T>::add_errors(Metrics& metrics) {
  OutputTotals totals;
  if (last_) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(blocks_), 0);
    std::ranges::copy(rows_, rows.begin() + own_blocks_.first);
    grid_.data().all_reduce(std::span(rows));
    const auto mine = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), sums_);
    totals = merge_blocks(grid_.data(), rows, std::span<const OutputSums>(mine.data(), mine.size()), outputs_);
    if (!counts_samples_) totals = {};
  }
  const double told[] = {totals.absolute.high, totals.absolute.low, totals.r2.high, totals.r2.low, static_cast<double>(totals.varying)};
  const std::vector<double> all = grid_.run().all_gather(std::span<const double>(told));
  OutputTotals whole;
  for (std::size_t at = 0; at < all.size(); at += std::size(told)) {
    whole.absolute.add({all[at], all[at + 1]});
    whole.r2.add({all[at + 2], all[at + 3]});
    whole.varying += static_cast<std::int64_t>(all[at + 4]);
  }
  metrics.mae = whole.absolute.value() / (static_cast<double>(metrics.samples) * static_cast<double>(network_.output_shape().size()));
  if (whole.varying > 0) metrics.r2 = whole.r2.value() / static_cast<double>(whole.varying);
}

template <class T>
std::optional<Metrics> Evaluator<T>::run_unless(const Execution& exec, const std::function<bool()>& stop) {
  const Communicator& run = grid_.run();
  Kokkos::deep_copy(exec, counts_, 0);
  std::ranges::fill(losses_, 0.0);
  std::ranges::fill(rows_, 0);
  // Ranks that hold parts of one model talk while they compute: an error on one of them cannot wait for the others.
  bool whole = false;
  if (grid_.shape().model_ranks() > 1)
    whole = evaluate(exec, stop);
  else
    run.together([&] { whole = evaluate(exec, stop); });
  if (!whole) return std::nullopt;
  Metrics m;
  m.samples = data_.size();
  m.kind = kind_ == LossKind::cross_entropy ? Metrics::Kind::classes : binary_loss(kind_) ? Metrics::Kind::binary : Metrics::Kind::values;
  if (!counts_samples_) std::ranges::fill(losses_, 0.0);
  const std::int64_t parts = grid_.shape().model_ranks(), part = grid_.place().rank() % parts;
  m.loss = loss_.mean(sum_in_order(run, parts * blocks_, part * blocks_ + own_blocks_.first, losses_, 1)[0], m.samples);
  if (m.kind != Metrics::Kind::values) add_counts(m);
  if (m.kind != Metrics::Kind::classes) add_errors(m);
  return m;
}

template <class T>
std::string Evaluator<T>::fault_of(const Metrics& metrics) const {
  if (std::isfinite(metrics.loss)) return {};
  if (std::string fault = loss_.domain_fault(metrics.loss); !fault.empty()) return fault;
  return "some outputs of the network are not finite, or too large for the loss. Hint: look at the data and their scale, or take an earlier checkpoint";
}

template class Evaluator<float>;
template class Evaluator<double>;

}  // namespace trireme
