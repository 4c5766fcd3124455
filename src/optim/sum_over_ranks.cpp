#include "optim/sum_over_ranks.hpp"

namespace trireme {

SumOverRanks::SumOverRanks(const Communicator& comm, std::int64_t largest) : comm_(&comm) {
  if (!on_host && comm.size() > 1 && !mpi_takes_device_memory())
    staging_ = HostBuffer<double>("trireme::optimizer::sum_staging", static_cast<std::size_t>(largest));
}

void SumOverRanks::operator()(const Execution& exec, Span<double> values) const {
  if (comm_->size() == 1) return;
  double* buffer = values.data();
  const Kokkos::View<double*, Kokkos::SharedHostPinnedSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>> host(staging_.data(), values.size());
  const bool staged = staging_.size() > 0;
  if (staged) {
    Kokkos::deep_copy(exec, host, values);
    buffer = staging_.data();
  }
  exec.fence("trireme::optimizer: sums complete before MPI");
  comm_->all_reduce(std::span(buffer, values.size()));
  if (staged) Kokkos::deep_copy(exec, values, host);
}

}  // namespace trireme
