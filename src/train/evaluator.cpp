#include "train/evaluator.hpp"

#include <algorithm>
#include <array>

#include "kokkos_kernels/metrics.hpp"

namespace trireme {

nlohmann::json Metrics::json(bool details) const {
  nlohmann::json j{{"samples", samples}, {"loss", loss}};
  if (classification) {
    j["accuracy"] = accuracy;
    j["top5"] = top5;
    if (details) {
      j["confusion"] = nlohmann::json::array();
      for (std::int64_t c = 0; c < classes; ++c)
        j["confusion"].push_back(std::vector<std::int64_t>(confusion.begin() + c * classes, confusion.begin() + (c + 1) * classes));
    }
  } else {
    j["mae"] = mae;
    j["r2"] = r2;
  }
  return j;
}

std::string Metrics::text() const {
  if (classification) return fmt::format("loss {:.4f}  accuracy {:.2f} %  top-5 {:.2f} %", loss, 100 * accuracy, 100 * top5);
  return fmt::format("loss {:.5g}  MAE {:.5g}  R2 {:.4f}", loss, mae, r2);
}

namespace {

/// Blocks of rows: lanes where these are no fewer than ranks.
int blocks_of(const Deck& deck, const ProcessGrid& grid) {
  const std::int64_t lanes = deck.integer("data.lanes");
  return lanes >= grid.shape().data ? static_cast<int>(lanes) : grid.shape().data;
}

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
      stager_(deck, data, network.input_shape(), network.output_shape(), network.largest_batch(), staged_part(network)),
      outputs_(gathered_outputs(network)),
      loss_(deck, network.output_shape(), outputs_, network.largest_batch()) {
  read_part(stream_options_, deck, network, data, false);
  const auto outputs = static_cast<std::size_t>(outputs_), blocks = static_cast<std::size_t>(own_blocks_.count);
  losses_.resize(blocks);
  if (!network.output_cuts().empty()) {
    shares_.emplace(network.output_cuts(), outputs_ / network.output_shape()[0], &grid.tensor(), grid.place().tensor, network.largest_batch());
    gathered_ = Buffer<T>("trireme::evaluator::gathered", outputs * static_cast<std::size_t>(network.largest_batch()));
  }
  if (data.labels().kind == LabelDemand::Kind::classes)
    counts_ = Buffer<std::int64_t>("trireme::evaluator::counts", 2 + outputs * outputs);
  else
    sums_ = Buffer<double>("trireme::evaluator::sums", 4 * outputs * blocks);
}

template <class T>
std::int64_t Evaluator<T>::data_memory() const {
  BatchStream::Options options = stream_options_;
  options.rank = static_cast<int>(own_blocks_.first);
  return BatchStream(data_, io_, options).memory();
}

template <class T>
void Evaluator<T>::evaluate(const Execution& exec) {
  for (std::size_t block = 0; block < losses_.size(); ++block) evaluate_block(exec, block);
}

template <class T>
void Evaluator<T>::evaluate_block(const Execution& exec, std::size_t block) {
  stream_options_.rank = static_cast<int>(own_blocks_.first + static_cast<std::int64_t>(block));
  if (!stream_ || own_blocks_.count > 1) {
    stream_.reset();  // memory of one stream at a time
    stream_ = std::make_unique<BatchStream>(data_, io_, stream_options_);
  }
  const Span<double> errors = slice<double>(sums_, static_cast<std::int64_t>(block) * 4 * outputs_, sums_.size() > 0 ? 4 * outputs_ : 0);
  stream_->seek(0, 0);
  while (true) {
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
    if (data_.labels().kind == LabelDemand::Kind::classes)
      count_classes<T>(exec, batch.count, outputs_, output, targets.classes, counts_);
    else
      sum_errors<T>(exec, batch.count, outputs_, output, targets.values, errors);
    double value = 0;
    Kokkos::deep_copy(exec, Kokkos::View<double, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(&value),
                      Kokkos::View<double, Memory, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(loss_.value().data()));
    exec.fence("trireme::evaluator: loss to the host");
    losses_[block] += value;
  }
}

template <class T>
std::vector<double> Evaluator<T>::sum_errors_of_blocks() const {
  const auto mine = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), sums_);
  const auto n = static_cast<std::size_t>(4 * outputs_);
  std::vector<double> sums(n), block(n);
  const auto own = [&](std::int64_t b) { return mine.data() + (b - own_blocks_.first) * static_cast<std::int64_t>(n); };
  if (!fixed_order_) {
    std::copy_n(own(own_blocks_.first), n, sums.begin());
    grid_.data().all_reduce(std::span(sums));
    return sums;
  }
  // One block after the other: all together may be more than memory has.
  for (std::int64_t b = 0; b < blocks_; ++b) {
    std::ranges::fill(block, 0.0);
    if (b >= own_blocks_.first && b < own_blocks_.first + own_blocks_.count) std::copy_n(own(b), n, block.begin());
    grid_.data().all_reduce(std::span(block));
    for (std::size_t i = 0; i < n; ++i) sums[i] += block[i];
  }
  return sums;
}

template <class T>
Metrics Evaluator<T>::run(const Execution& exec) {
  const std::int64_t outputs = network_.output_shape().size();
  const bool classes = data_.labels().kind == LabelDemand::Kind::classes;
  const Communicator& run = grid_.run();
  if (classes)
    Kokkos::deep_copy(exec, counts_, 0);
  else
    Kokkos::deep_copy(exec, sums_, 0.0);
  std::ranges::fill(losses_, 0.0);
  // Ranks that hold parts of one model talk while they compute: an error on one of them cannot wait for the others.
  if (grid_.shape().model_ranks() > 1)
    evaluate(exec);
  else
    run.together([&] { evaluate(exec); });
  Metrics m;
  m.samples = data_.size();
  m.classification = classes;
  if (!counts_samples_) std::ranges::fill(losses_, 0.0);
  const std::int64_t parts = grid_.shape().model_ranks(), part = grid_.place().rank() % parts;
  m.loss = loss_.mean(sum_in_order(run, parts * blocks_, part * blocks_ + own_blocks_.first, losses_, 1)[0], m.samples);
  if (classes) {
    std::vector<std::int64_t> counts(2 + static_cast<std::size_t>(outputs * outputs), 0);
    if (counts_samples_) Kokkos::deep_copy(Kokkos::View<std::int64_t*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(counts.data(), counts.size()), counts_);
    run.all_reduce(std::span(counts));
    m.classes = outputs;
    m.accuracy = static_cast<double>(counts[0]) / static_cast<double>(m.samples);
    m.top5 = static_cast<double>(counts[1]) / static_cast<double>(m.samples);
    m.confusion.assign(counts.begin() + 2, counts.end());
  } else {
    const std::vector<double> sums = sum_errors_of_blocks();
    const double n = static_cast<double>(m.samples);
    std::array<double, 2> totals{};  // of this rank's outputs: absolute errors, R^2
    for (std::size_t o = 0; counts_samples_ && o < sums.size() / 4; ++o) {
      const double* const of = sums.data() + 4 * o;
      const double spread = of[3] - of[2] * of[2] / n;
      totals[0] += of[0];
      totals[1] += spread > 0 ? 1 - of[1] / spread : 0;
    }
    const bool speaks = grid_.place().data == 0;
    const auto all = sum_in_order(run, parts, part, std::span(totals).first(speaks ? 2 : 0), 2);
    m.mae = all[0] / (n * static_cast<double>(outputs));
    m.r2 = all[1] / static_cast<double>(outputs);
  }
  return m;
}

template class Evaluator<float>;
template class Evaluator<double>;

}  // namespace trireme
