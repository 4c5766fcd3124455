#include "train/evaluator.hpp"

#include <algorithm>

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

template <class T>
Evaluator<T>::Evaluator(const Deck& deck, const Communicator& comm, Network<T>& network, const DataSet& data, IoThread& io, std::int64_t batch)
    : comm_(comm),
      network_(network),
      data_(data),
      seed_(static_cast<std::uint64_t>(deck.integer("run.seed"))),
      stream_(data, io, {.batch = batch, .rank = comm.rank(), .ranks = comm.size(), .order = BatchStream::Order::blocks}),
      stager_(deck, data, network.input_shape(), network.output_shape(), network.largest_batch()),
      loss_(deck, network.output_shape(), network.largest_batch()) {
  const auto outputs = static_cast<std::size_t>(network.output_shape().size());
  if (data.labels().kind == LabelDemand::Kind::classes)
    counts_ = Buffer<std::int64_t>("trireme::evaluator::counts", 2 + outputs * outputs);
  else
    sums_ = Buffer<double>("trireme::evaluator::sums", 4 * outputs);
}

template <class T>
Metrics Evaluator<T>::run(const Execution& exec) {
  const std::int64_t outputs = network_.output_shape().size();
  const bool classes = data_.labels().kind == LabelDemand::Kind::classes;
  if (classes)
    Kokkos::deep_copy(exec, counts_, 0);
  else
    Kokkos::deep_copy(exec, sums_, 0.0);
  double loss_sum = 0;
  comm_.together([&] {
    stream_.seek(0, 0);
    while (true) {
      const HostBatch& batch = stream_.next();
      if (batch.count == 0) break;
      Pass pass{.exec = exec, .samples = batch.count, .training = false, .seed = seed_};
      const Targets<T> targets = stager_.load(pass, batch, network_.input());
      network_.forward(pass);
      const Span<const T> output = output_ ? output_(pass, batch) : network_.output();
      loss_.apply(exec, batch.count, batch.count, output, targets, Span<T>());
      if (classes)
        count_classes<T>(exec, batch.count, outputs, output, targets.classes, counts_);
      else
        sum_errors<T>(exec, batch.count, outputs, output, targets.values, sums_);
      double value = 0;
      Kokkos::deep_copy(exec, Kokkos::View<double, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(&value),
                        Kokkos::View<double, Memory, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(loss_.value().data()));
      exec.fence("trireme::evaluator: loss to the host");
      loss_sum += value;
    }
  });
  Metrics m;
  m.samples = data_.size();
  m.classification = classes;
  m.loss = loss_.mean(comm_.all_reduce(loss_sum), m.samples);
  if (classes) {
    auto counts = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), counts_);
    comm_.all_reduce(std::span(counts.data(), counts.size()));
    m.classes = outputs;
    m.accuracy = static_cast<double>(counts(0)) / static_cast<double>(m.samples);
    m.top5 = static_cast<double>(counts(1)) / static_cast<double>(m.samples);
    m.confusion.assign(counts.data() + 2, counts.data() + counts.size());
  } else {
    auto sums = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), sums_);
    comm_.all_reduce(std::span(sums.data(), sums.size()));
    const double n = static_cast<double>(m.samples);
    double absolute = 0;
    for (std::size_t o = 0; o < static_cast<std::size_t>(outputs); ++o) {
      const double spread = sums(4 * o + 3) - sums(4 * o + 2) * sums(4 * o + 2) / n;
      absolute += sums(4 * o);
      m.r2 += (spread > 0 ? 1 - sums(4 * o + 1) / spread : 0) / static_cast<double>(outputs);
    }
    m.mae = absolute / (n * static_cast<double>(outputs));
  }
  return m;
}

template class Evaluator<float>;
template class Evaluator<double>;

}  // namespace trireme
