#include "comm/weighted_mean.hpp"

#include <algorithm>

namespace trireme {

template <class T>
WeightedMean<T>::WeightedMean(const Communicator& comm, std::int64_t piece) : comm_(comm.duplicate()), piece_(std::max<std::int64_t>(piece, comm.size())) {
  const auto ranks = static_cast<std::size_t>(comm_.size());
  const std::int64_t part = (piece_ + comm_.size() - 1) / comm_.size();
  gathered_.resize(static_cast<std::size_t>(part) * ranks);
  mean_.resize(static_cast<std::size_t>(part));
  for (auto* list : {&counts_, &starts_, &mine_counts_, &mine_starts_}) list->resize(ranks);
}

template <class T>
void WeightedMean<T>::operator()(std::span<T> values, std::span<const double> weights) {
  if (weights.size() != counts_.size()) throw internal_error("WeightedMean: {} weights for {} ranks", weights.size(), counts_.size());
  const auto me = static_cast<std::size_t>(comm_.rank());
  const int ranks = comm_.size();
  for (std::size_t first = 0; first < values.size(); first += static_cast<std::size_t>(piece_)) {
    const auto piece = values.subspan(first, std::min(values.size() - first, static_cast<std::size_t>(piece_)));
    const int n = static_cast<int>(piece.size());
    for (int k = 0, start = 0; k < ranks; ++k) {
      const auto at = static_cast<std::size_t>(k);
      counts_[at] = n / ranks + (k < n % ranks ? 1 : 0);
      starts_[at] = start;
      start += counts_[at];
    }
    const auto count = static_cast<std::size_t>(counts_[me]);
    for (std::size_t k = 0; k < counts_.size(); ++k) mine_counts_[k] = counts_[me], mine_starts_[k] = static_cast<int>(k * count);
    TRIREME_MPI(MPI_Alltoallv(piece.data(), counts_.data(), starts_.data(), mpi_type<T>(), gathered_.data(), mine_counts_.data(), mine_starts_.data(),
                              mpi_type<T>(), comm_.handle()));
    for (std::size_t i = 0; i < count; ++i) {
      double sum = 0;
      for (std::size_t k = 0; k < weights.size(); ++k) sum += weights[k] * static_cast<double>(gathered_[k * count + i]);
      mean_[i] = static_cast<T>(sum);
    }
    TRIREME_MPI(MPI_Allgatherv(mean_.data(), counts_[me], mpi_type<T>(), piece.data(), counts_.data(), starts_.data(), mpi_type<T>(), comm_.handle()));
  }
}

template class WeightedMean<float>;
template class WeightedMean<double>;

}  // namespace trireme
