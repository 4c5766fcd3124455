// Buffers that kernels and MPI share: device memory, plus a copy on the host if MPI cannot access device memory.
#pragma once

#include <string>

#include "kokkos_kernels/types.hpp"

namespace trireme {

template <class E>
using HostSpan = Kokkos::View<E*, Kokkos::SharedHostPinnedSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

template <class E>
HostSpan<E> host_slice(const HostBuffer<E>& buffer, std::int64_t first, std::int64_t count) {
  return HostSpan<E>(buffer.data() + first, static_cast<std::size_t>(count));
}

template <class E>
struct WireMemory {
  Buffer<E> memory;
  HostBuffer<E> host;

  void make(const std::string& label, std::int64_t count, bool staged) {
    memory = Buffer<E>("trireme::reducer::" + label, static_cast<std::size_t>(count));
    if (staged) host = HostBuffer<E>("trireme::reducer::" + label + "_staging", static_cast<std::size_t>(count));
  }
  /// The pointer for MPI calls.
  E* data() const { return host.size() > 0 ? host.data() : memory.data(); }
  void to_mpi(const Execution& exec, std::int64_t first, std::int64_t count) const {
    if (host.size() > 0 && count > 0) Kokkos::deep_copy(exec, host_slice(host, first, count), slice<E>(memory, first, count));
  }
  void from_mpi(const Execution& exec, std::int64_t first, std::int64_t count) const {
    if (host.size() > 0 && count > 0) Kokkos::deep_copy(exec, slice<E>(memory, first, count), host_slice(host, first, count));
  }
};

}  // namespace trireme
