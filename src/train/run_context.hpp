// The context that all parts of a training run share: the deck, the ranks, the device, and the thread that calls HDF5.
#pragma once

#include "comm/communicator.hpp"
#include "comm/process_grid.hpp"
#include "config/deck.hpp"
#include "io/io_thread.hpp"
#include "kokkos_kernels/types.hpp"
#include "parallel/plan.hpp"

namespace trireme {

/// `deck` and `comm` (all ranks of the run) must outlive the context. Construction is collective, because it creates the communicators of the grid. Throws a
/// usage error if the grid does not fit the number of ranks.
struct RunContext {
  const Deck& deck;
  const Communicator& comm;
  Execution exec{};
  IoThread io{};
  ProcessGrid grid{comm, grid_shape(deck, comm.size())};

  bool is_root() const { return comm.rank() == 0; }
};

}  // namespace trireme
