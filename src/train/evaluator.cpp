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

template <class T>
BatchStream::Options stream_options(const Deck& deck, const ProcessGrid& grid, const Network<T>& network, const DataSet& data, std::int64_t batch) {
  BatchStream::Options options{.batch = batch, .rank = grid.place().data, .ranks = grid.shape().data, .order = BatchStream::Order::blocks};
  read_part(options, deck, network, data, false);
  return options;
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
      stream_(data, io, stream_options(deck, grid, network, data, batch)),
      stager_(deck, data, network.input_shape(), network.output_shape(), network.largest_batch(), staged_part(network)),
      outputs_(gathered_outputs(network)),
      loss_(deck, network.output_shape(), outputs_, network.largest_batch()) {
  const auto outputs = static_cast<std::size_t>(outputs_);
  if (!network.output_cuts().empty()) {
    shares_.emplace(network.output_cuts(), outputs_ / network.output_shape()[0], &grid.tensor(), grid.place().tensor, network.largest_batch());
    gathered_ = Buffer<T>("trireme::evaluator::gathered", outputs * static_cast<std::size_t>(network.largest_batch()));
  }
  if (data.labels().kind == LabelDemand::Kind::classes)
    counts_ = Buffer<std::int64_t>("trireme::evaluator::counts", 2 + outputs * outputs);
  else
    sums_ = Buffer<double>("trireme::evaluator::sums", 4 * outputs);
}

template <class T>
void Evaluator<T>::evaluate(const Execution& exec) {
  stream_.seek(0, 0);
  while (true) {
    const HostBatch& batch = stream_.next();
    if (batch.count == 0) break;
    const Pass pass{.exec = exec, .samples = batch.count, .training = false, .seed = seed_, .sum_over = sharer_sums_.function()};
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
      sum_errors<T>(exec, batch.count, outputs_, output, targets.values, sums_);
    double value = 0;
    Kokkos::deep_copy(exec, Kokkos::View<double, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(&value),
                      Kokkos::View<double, Memory, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(loss_.value().data()));
    exec.fence("trireme::evaluator: loss to the host");
    loss_sum_ += value;
  }
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
  loss_sum_ = 0;
  // Ranks that hold parts of one model talk while they compute: an error on one of them cannot wait for the others.
  if (grid_.shape().model_ranks() > 1)
    evaluate(exec);
  else
    run.together([&] { evaluate(exec); });
  Metrics m;
  m.samples = data_.size();
  m.classification = classes;
  m.loss = loss_.mean(run.all_reduce(counts_samples_ ? loss_sum_ : 0.0), m.samples);
  if (classes) {
    std::vector<std::int64_t> counts(2 + static_cast<std::size_t>(outputs * outputs), 0);
    if (counts_samples_) Kokkos::deep_copy(Kokkos::View<std::int64_t*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(counts.data(), counts.size()), counts_);
    run.all_reduce(std::span(counts));
    m.classes = outputs;
    m.accuracy = static_cast<double>(counts[0]) / static_cast<double>(m.samples);
    m.top5 = static_cast<double>(counts[1]) / static_cast<double>(m.samples);
    m.confusion.assign(counts.begin() + 2, counts.end());
  } else {
    auto sums = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), sums_);
    grid_.data().all_reduce(std::span(sums.data(), sums.size()));
    const double n = static_cast<double>(m.samples);
    std::array<double, 2> totals{};  // of this rank's outputs: absolute errors, R^2
    for (std::size_t o = 0; counts_samples_ && o < sums.size() / 4; ++o) {
      const double spread = sums(4 * o + 3) - sums(4 * o + 2) * sums(4 * o + 2) / n;
      totals[0] += sums(4 * o);
      totals[1] += spread > 0 ? 1 - sums(4 * o + 1) / spread : 0;
    }
    if (grid_.place().data != 0) totals = {};
    run.all_reduce(std::span<double>(totals));
    m.mae = totals[0] / (n * static_cast<double>(outputs));
    m.r2 = totals[1] / static_cast<double>(outputs);
  }
  return m;
}

template class Evaluator<float>;
template class Evaluator<double>;

}  // namespace trireme
