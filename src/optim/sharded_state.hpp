// Converts optimizer state between a ZeRO partition, where each rank owns a part, and files, which hold whole arrays independent of ranks.
#pragma once

#include <functional>
#include <vector>

#include "comm/communicator.hpp"
#include "optim/optimizer.hpp"

namespace trireme {

template <class T>
using HostArena = Kokkos::View<T*, Kokkos::HostSpace>;

/// State `name` as one arena parallel to the parameters, on every rank of `comm`, over which `optimizer` is partitioned: bitwise the values of the
/// owners, 0 in the gaps of the arena. If the state is whole and on the host, this is the state itself, not a copy. Collective over `comm`.
template <class T>
HostArena<T> whole_state(const Communicator& comm, const Optimizer<T>& optimizer, std::string_view name);
/// Boundaries between the parts of `ranks` ranks that write a state together, ascending from 0 to the end of the arena: at whole rows (dimension 0)
/// of the parameters, with parts of about equal size.
template <class T>
std::vector<std::int64_t> row_cuts(const Network<T>& network, int ranks);

/// Sends elements [cuts[rank], cuts[rank + 1]) of state `name` from their owners to this rank, bitwise. Calls take(first, count, elements) for each
/// range that arrives, with `first` in the whole arena; together the ranges are all elements that owners have in that part. Each rank sends and
/// receives about its share, piece by piece: no rank holds the whole state or a second copy of its share. Collective over `comm`, over which
/// `optimizer` is partitioned.
template <class T>
void state_between(const Communicator& comm, const Optimizer<T>& optimizer, std::string_view name, const std::vector<std::int64_t>& cuts,
                   const std::function<void(std::int64_t, std::int64_t, const T*)>& take);

/// Copies the elements that this rank owns out of [first, first + count) of a whole arena; `state` has the layout of Optimizer::State, on the host.
/// Not collective.
template <class T>
void take_owned(const ZeroPartition& shards, std::int64_t first, std::int64_t count, const T* from, T* state);

}  // namespace trireme
