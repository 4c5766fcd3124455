// Memory of a run on one rank, by purpose. It is computed before anything is allocated; `trireme plan` and the start of a run print it.
#pragma once

#include <cstdint>

#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "network/network.hpp"

namespace trireme {

/// In bytes. Does not include memory that every process has (the program, its libraries, buffers of MPI and of the matrix library).
struct RunMemory {
  std::int64_t parameters = 0, gradients = 0, state = 0, average = 0, activations = 0, workspace = 0, messages = 0;
  std::int64_t evaluation = 0;  // targets of training and evaluation, counts or sums of metrics
  std::int64_t checkpoint = 0;  // the staging copy of asynchronous checkpoints, and gathered arrays
  std::int64_t mpi = 0;         // others' parts of a bucket that MPI receives when it reduces and scatters
  std::int64_t data = 0;        // rows kept in memory or read ahead; 0 without a data set

  std::int64_t total() const { return parameters + gradients + state + average + activations + workspace + messages + evaluation + checkpoint + mpi + data; }
};

/// Memory of the first rank of the data axis (the largest) at the place of `network`; without data.
template <class T>
RunMemory run_memory(const Deck& deck, const GridShape& grid, const Network<T>& network);

/// Throws a usage error if the ranks of a node together need more memory than the node has. `mine`: bytes of this rank. `what` names the purpose.
/// Collective.
void require_node_memory(const Communicator& comm, std::int64_t mine, const char* what, const char* hint);

/// Resident memory of this process in bytes, current and peak; 0 if the system does not report it.
struct ResidentMemory {
  std::int64_t now = 0, peak = 0;
};
ResidentMemory resident_memory();

}  // namespace trireme
