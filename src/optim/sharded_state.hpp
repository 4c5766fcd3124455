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

/// What a rank writes of a sharded state: whole rows (of dimension 0) of the parameters.
template <class T>
struct OwnedState {
  struct Rows {
    std::int64_t first, count;
    const T* data;  // of row `first`
  };
  std::vector<std::vector<Rows>> rows;  // parallel to the network's parameters, ascending, none empty
  HostArena<T> mine;                    // the compact state; on the host the state itself, not a copy
  std::vector<T> joined;                // rows of which others own a part
};

/// Of state `name` the rows whose first element this rank owns, where they lie: ranks' rows together are the whole state, and only rows that a border between
/// ranks cuts go from rank to rank. Collective over `comm`, the ranks among which `optimizer` is sharded.
template <class T>
OwnedState<T> owned_state(const Communicator& comm, const Network<T>& network, const Optimizer<T>& optimizer, std::string_view name);

/// This rank takes what it owns of elements [first, first + count) of a whole arena; `state` lies as Optimizer::State does, on the host. Not collective.
template <class T>
void take_owned(const Shards& shards, std::int64_t first, std::int64_t count, const T* from, T* state);

}  // namespace trireme
