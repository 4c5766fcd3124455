// The optimiser's state between the arenas of ranks that own a part each and files, which have whole arrays and know nothing of ranks.
#pragma once

#include "comm/communicator.hpp"
#include "optim/optimizer.hpp"

namespace trireme {

template <class T>
using HostArena = Kokkos::View<T*, Kokkos::HostSpace>;

/// State `name` as one arena parallel to the parameters, on every rank of `comm`, the ranks among which `optimizer` is sharded: bit for bit what its
/// owners hold, 0 in the arena's gaps. Where the state is whole and on the host it is the state itself, not a copy. Collective over `comm`.
template <class T>
HostArena<T> whole_state(const Communicator& comm, const Optimizer<T>& optimizer, std::string_view name);
/// The inverse: this rank takes what it owns. Not collective.
template <class T>
void take_state(const Optimizer<T>& optimizer, std::string_view name, const HostArena<T>& whole);

}  // namespace trireme
