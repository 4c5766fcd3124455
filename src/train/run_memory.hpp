// What a run takes of memory on one rank, by what it is for: known before anything is allocated, and told at the start of a run and by `trireme plan`.
#pragma once

#include <cstdint>

#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "network/network.hpp"

namespace trireme {

/// Bytes. Of what every process has besides (the program, its libraries, MPI's and the matrix library's own buffers) nothing is known here.
struct RunMemory {
  std::int64_t parameters = 0, gradients = 0, state = 0, average = 0, activations = 0, workspace = 0, messages = 0;
  std::int64_t evaluation = 0;  // targets of training and evaluation, counts or sums of metrics
  std::int64_t checkpoint = 0;  // the copy that is written while training goes on, and what is gathered for it
  std::int64_t data = 0;        // rows that are kept or read ahead; 0 where no data set is known

  std::int64_t total() const {
    return parameters + gradients + state + average + activations + workspace + messages + evaluation + checkpoint + data;
  }
};

/// Of the first rank of the data axis, which has no less than others, at `network`'s place; without data.
template <class T>
RunMemory run_memory(const Deck& deck, const GridShape& grid, const Network<T>& network);

/// Refuses what the ranks of a node need together, `mine` bytes of it this rank's, where the node has less. `what` says what is counted. Collective.
void require_node_memory(const Communicator& comm, std::int64_t mine, const char* what, const char* hint);

/// Resident memory of this process in bytes, now and at most so far; 0 where the system does not tell.
struct ResidentMemory {
  std::int64_t now = 0, peak = 0;
};
ResidentMemory resident_memory();

}  // namespace trireme
