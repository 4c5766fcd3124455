// The optimiser's state between the arenas of ranks that own a part each and files, which have whole arrays and know nothing of ranks.
#pragma once

#include <vector>

#include "comm/communicator.hpp"
#include "optim/optimizer.hpp"

namespace trireme {

template <class T>
using HostArena = Kokkos::View<T*, Kokkos::HostSpace>;

/// State `name` as one arena parallel to the parameters, on every rank of `comm`, the ranks among which `optimizer` is sharded: bit for bit what its
/// owners hold, 0 in the arena's gaps. Where the state is whole and on the host it is the state itself, not a copy. Collective over `comm`.
template <class T>
HostArena<T> whole_state(const Communicator& comm, const Optimizer<T>& optimizer, std::string_view name);
/// Where the arenas are cut among `ranks` ranks that write a state together, ascending from 0 to their end: at whole rows (of dimension 0) of the parameters, and
/// at about equal shares.
template <class T>
std::vector<std::int64_t> row_cuts(const Network<T>& network, int ranks);

/// Elements [cuts[rank], cuts[rank + 1]) of state `name`, bit for bit what their owners hold, 0 in the arena's gaps. Each rank gives and gets about its share:
/// no rank has the whole. Collective over `comm`, the ranks among which `optimizer` is sharded.
template <class T>
HostArena<T> state_between(const Communicator& comm, const Optimizer<T>& optimizer, std::string_view name, const std::vector<std::int64_t>& cuts);

/// This rank takes what it owns of elements [first, first + count) of a whole arena; `state` lies as Optimizer::State does, on the host. Not collective.
template <class T>
void take_owned(const Shards& shards, std::int64_t first, std::int64_t count, const T* from, T* state);

}  // namespace trireme
