// All-reduce of arrays in the memory of kernels, staged through pinned host memory if MPI cannot access that memory.
#pragma once

#include "comm/communicator.hpp"
#include "kokkos_kernels/types.hpp"

namespace trireme {

template <class T>
class RankSum {
 public:
  /// In place, after the work launched on the instance; later launches see the sum. Collective.
  void run(const Execution& exec, const Communicator& comm, Span<T> values) {
    begin(exec, comm, values);
    finish(exec);
  }
  /// run() in two parts. Work launched in between overlaps with the all-reduce and must not access the values.
  void begin(const Execution& exec, const Communicator& comm, Span<T> values) {
    if (comm.size() == 1 || values.size() == 0) return;
    values_ = values;
    T* buffer = values.data();
    if (staged()) {
      if (staging_.size() < values.size()) staging_ = HostBuffer<T>("trireme::rank_sum::staging", values.size());
      buffer = staging_.data();
      Kokkos::deep_copy(exec, host(values.size()), values);
    }
    exec.fence("trireme::rank_sum: values complete before MPI");
    request_ = comm.begin_all_reduce(buffer, values.size());
    under_way_ = true;
  }
  void finish(const Execution& exec) {
    if (!under_way_) return;
    under_way_ = false;
    request_.wait();
    if (staged()) Kokkos::deep_copy(exec, values_, host(values_.size()));
  }

 private:
  using Host = Kokkos::View<T*, Kokkos::SharedHostPinnedSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
  static bool staged() { return !on_host && !mpi_takes_device_memory(); }
  Host host(std::size_t count) { return Host(staging_.data(), count); }

  HostBuffer<T> staging_;
  Span<T> values_;
  Request request_;
  bool under_way_ = false;
};

}  // namespace trireme
