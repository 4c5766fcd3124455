#include "train/evaluator.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>

#include "base/error.hpp"
#include "kokkos_kernels/metrics.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

/// Blocks of rows: virtual ranks if there are at least as many as ranks.
int blocks_of(const Deck& deck, const ProcessGrid& grid) {
  const std::int64_t virtual_ranks = deck.integer("data.virtual_ranks");
  return virtual_ranks >= grid.shape().data ? static_cast<int>(virtual_ranks) : grid.shape().data;
}

/// Sums of n numbers over `slots` blocks, added in the order of the blocks. `mine`: the numbers of the blocks from `first` on; each block belongs to one rank.
std::vector<double> sum_in_order(const Communicator& comm, std::int64_t slots, std::int64_t first, std::span<const double> mine, std::size_t n) {
  std::vector<double> all(static_cast<std::size_t>(slots) * n), sums(n);
  std::ranges::copy(mine, all.begin() + first * static_cast<std::ptrdiff_t>(n));
  comm.all_reduce(std::span(all));  // only one rank has a nonzero value of each number
  for (std::size_t i = 0; i < all.size(); ++i) sums[i % n] += all[i];
  return sums;
}

/// Outputs per sample on a rank after the channels are gathered.
template <class T>
std::int64_t gathered_outputs(const Network<T>& network) {
  const Shape& local = network.local_output();
  return network.output_cuts().empty() ? local.size() : local.size() / local[0] * network.output_shape()[0];
}

}  // namespace

template <class T>
Evaluator<T>::Blocks::Blocks(int blocks, const GridPlace& place)
    : count(blocks),
      own(share_of(blocks, place.data, place.shape.data)),
      losses(static_cast<std::size_t>(own.count)),
      weights(static_cast<std::size_t>(own.count)) {}

template <class T>
Evaluator<T>::Evaluator(const Deck& deck, const Communicator& comm, Network<T>& network, const DataSet& data, IoThread& io, std::int64_t batch)
    : Evaluator(std::make_unique<const ProcessGrid>(comm, GridShape{.data = comm.size()}), nullptr, deck, network, data, io, batch) {}

template <class T>
Evaluator<T>::Evaluator(const Deck& deck, const ProcessGrid& grid, Network<T>& network, const DataSet& data, IoThread& io, std::int64_t batch)
    : Evaluator(nullptr, &grid, deck, network, data, io, batch) {}

template <class T>
Evaluator<T>::Evaluator(std::unique_ptr<const ProcessGrid> own_grid, const ProcessGrid* grid, const Deck& deck, Network<T>& network, const DataSet& data,
                        IoThread& io, std::int64_t batch)
    : own_grid_(std::move(own_grid)),
      grid_(own_grid_ ? *own_grid_ : *grid),
      network_(network),
      data_(data),
      reduction_group_sums_(grid_),
      last_(grid_.place().last_stage()),
      counts_samples_(last_ && grid_.place().tensor == 0 && (network.output_box() || grid_.place().spatial_rank() == 0)),
      seed_(static_cast<std::uint64_t>(deck.integer("run.seed"))),
      fixed_order_(deck.integer("data.virtual_ranks") > 0),
      blocks_(blocks_of(deck, grid_), grid_.place()),
      stream_options_{.batch = batch, .ranks = blocks_.count, .order = BatchStream::Order::blocks},
      io_(io),
      stager_(deck, data, network.input_shape(), network.output_shape(), network.largest_batch(), staged_part(network, false)),
      outputs_(gathered_outputs(network)),
      loss_(deck, network, grid_, true) {
  read_part(stream_options_, deck, network, data, false);
  const CountedPart part{.blocks = blocks_.count, .own = blocks_.own, .has_outputs = last_, .counts = counts_samples_};
  for (const LossTerm& term : loss_.terms()) counters_.push_back(std::make_unique<MetricCounter<T>>(term, network, grid_, part, data.size()));
  blocks_.losses.resize(blocks_.losses.size() * loss_.terms().size());
  if (network.output_cuts().empty()) return;
  shares_.emplace(network.output_cuts(), outputs_ / network.output_shape()[0], &grid_.tensor(), grid_.place().tensor, network.largest_batch());
  gathered_ = Buffer<T>("trireme::evaluator::gathered", static_cast<std::size_t>(outputs_ * network.largest_batch()));
}

template <class T>
bool Evaluator<T>::evaluate(const Execution& exec, const std::function<bool()>& stop) {
  const auto ceiling = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t batches = std::max<std::int64_t>(ceiling(data_.size(), stream_options_.batch), 1) * ceiling(blocks_.count, grid_.shape().data);
  StopPoll poll(grid_.run(), stop, batches);
  std::exception_ptr error;
  try {
    for (std::size_t block = 0; block < blocks_.weights.size() && !poll.is_over(); ++block) evaluate_block(exec, block, poll);
  } catch (...) {
    // If ranks hold parts of one model, an error cannot wait: the others wait in messages.
    if (grid_.shape().model_ranks() > 1) throw;
    error = std::current_exception();
  }
  poll.finish(error != nullptr);
  if (error) std::rethrow_exception(error);
  return !poll.stopped();
}

template <class T>
std::int64_t Evaluator<T>::data_memory() const {
  BatchStream::Options options = stream_options_;
  options.rank = static_cast<int>(blocks_.own.first);
  return BatchStream(data_, io_, options).memory();
}

template <class T>
void Evaluator<T>::evaluate_block(const Execution& exec, std::size_t block, StopPoll& poll) {
  stream_options_.rank = static_cast<int>(blocks_.own.first + static_cast<std::int64_t>(block));
  if (!stream_ || blocks_.own.count > 1) {
    stream_.reset();  // memory of one stream at a time
    stream_ = std::make_unique<BatchStream>(data_, io_, stream_options_);
  }
  stream_->seek(0, 0);
  while (poll.continues()) {
    const HostBatch& batch = stream_->next();
    if (batch.count == 0) break;
    const Pass pass{
        .exec = exec, .samples = batch.count, .training = false, .seed = seed_, .fixed_order = fixed_order_, .all_reduce = reduction_group_sums_.function()};
    const Targets<T> targets = stager_.load(pass, batch, network_.input());
    network_.forward(pass);
    if (!last_) continue;
    Span<const T> output = output_ ? output_(pass, batch) : network_.output();
    if (shares_) {
      shares_->gather(exec, batch.count, output, gathered_);
      output = gathered_;
    }
    loss_.apply(exec, batch.count, batch.count, output, targets, Span<T>());
    const std::size_t terms = counters_.size();
    for (std::size_t k = 0; k < terms; ++k) counters_[k]->add(exec, batch.count, block, output, targets);
    for (std::size_t k = 0; k < terms; ++k) {
      double sums[2] = {};
      Kokkos::deep_copy(exec, Kokkos::View<double*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(sums, 2), loss_.value(k));
      exec.fence("trireme::evaluator: loss to the host");
      blocks_.losses[block * terms + k] += sums[0];
      blocks_.weights[block] += sums[1];
    }
  }
}

template <class T>
std::optional<Metrics> Evaluator<T>::run_unless(const Execution& exec, const std::function<bool()>& stop) {
  const Communicator& run = grid_.run();
  std::ranges::fill(blocks_.losses, 0.0);
  std::ranges::fill(blocks_.weights, 0.0);
  for (const auto& counter : counters_) counter->clear();
  // Ranks that hold parts of one model communicate during the pass: an error on one of them cannot wait for the others.
  bool whole = false;
  if (grid_.shape().model_ranks() > 1)
    whole = evaluate(exec, stop);
  else
    run.together([&] { whole = evaluate(exec, stop); });
  if (!whole) return std::nullopt;
  Metrics m;
  m.statistics.samples = data_.size();
  add_loss(m);
  m.statistics = counters_.front()->total();
  for (std::size_t k = 1; k < counters_.size(); ++k) m.terms[k].statistics = counters_[k]->total();
  if (!m.terms.empty()) m.terms.front().statistics = m.statistics;
  return m;
}

template <class T>
void Evaluator<T>::add_loss(Metrics& metrics) {
  if (!counts_samples_) {
    std::ranges::fill(blocks_.losses, 0.0);
    std::ranges::fill(blocks_.weights, 0.0);
  }
  const std::int64_t parts = grid_.shape().model_ranks(), part = grid_.place().rank() % parts;
  const auto whole = [&](const std::vector<double>& mine, std::size_t n) {
    return sum_in_order(grid_.run(), parts * blocks_.count, part * blocks_.count + blocks_.own.first, mine, n);
  };
  const std::vector<double> sums = whole(blocks_.losses, counters_.size());
  if (counters_.size() > 1) {
    for (std::size_t k = 0; k < sums.size(); ++k) {
      const LossTerm& term = loss_.terms()[k];
      metrics.terms.push_back({.name = term.name, .loss = loss_.mean(k, sums[k], metrics.statistics.samples)});
      metrics.loss += term.weight * metrics.terms.back().loss;
    }
    return;
  }
  metrics.loss = loss_.mean(sums[0], metrics.statistics.samples);
  if (!loss_.weighted()) return;
  const double weight = whole(blocks_.weights, 1)[0];
  if (!(weight > 0))
    throw data_error("data set '{}': no target counts in the loss: all are ignored (loss.ignore), or their classes have weight 0 (loss.class_weights)",
                     data_.where());
  metrics.loss *= loss_.gradient_scale(weight, metrics.statistics.samples);
}

template <class T>
std::string Evaluator<T>::fault_of(const Metrics& metrics) const {
  if (std::isfinite(metrics.loss)) return {};
  if (std::string fault = loss_.domain_fault(metrics.loss); !fault.empty()) return fault;
  return "some outputs of the network are not finite, or are too large for the loss. "
         "Hint: check the values and the scale of the data, or use an earlier checkpoint";
}

template class Evaluator<float>;
template class Evaluator<double>;

}  // namespace trireme
