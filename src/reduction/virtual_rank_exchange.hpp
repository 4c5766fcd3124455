// Exchange of tree nodes between ranks (reduction_tree.hpp). For each piece of the gradient arena, a rank receives its part of all nodes of the other ranks and
// adds the nodes. Nodes are sent from their memory without a copy: one round of messages per node, as many rounds as the maximum number of nodes on a rank.
#pragma once

#include <deque>
#include <vector>

#include "comm/communicator.hpp"
#include "reduction/compressed_memory.hpp"
#include "reduction/virtual_rank_sums.hpp"

namespace trireme {

template <class T>
class VirtualRankExchange {
 public:
  /// `virtual_ranks`: those of each rank of `comm`, which must outlive the object. `staged`: MPI cannot access the arena's memory. Not collective.
  VirtualRankExchange(const Communicator& comm, const ReductionTree& tree, const std::vector<VirtualRankRange>& virtual_ranks, Span<T> arena, bool staged);

  VirtualRankSums<T>& sums() { return sums_; }
  /// Tree nodes that remain on this rank; the maximum over all ranks, which is the number of rounds per piece.
  std::size_t nodes() const { return sums_.nodes().size(); }
  std::size_t rounds() const { return rounds_; }

  /// Adds a piece, elements [first, first + sum of counts): rank r reduces counts[r] of them, beginning at first + starts[r]. Pieces are numbered in the order
  /// of these calls; call allocate() after the last one. Throws usage errors if a piece is too large for MPI.
  void add_piece(std::int64_t first, const std::vector<int>& counts, const std::vector<int>& starts);
  void allocate();

  /// The gradient of the last virtual rank is complete in this piece on `exec`. The work launched here must end before begin().
  void finish_virtual_ranks(const Execution& exec, std::size_t piece);
  /// All ranks begin pieces in the same order.
  void begin(std::size_t piece);
  bool done(std::size_t piece);  // also drives the progress of MPI
  void wait(std::size_t piece);
  /// Writes the sum over all virtual ranks to this rank's part of the arena.
  void add_up(const Execution& exec, std::size_t piece);

 private:
  struct Round {
    std::vector<int> send_counts, receive_counts, receive_starts;
    Request request;
  };
  struct Piece {
    std::int64_t first, count, own_first, own, received_at;
    std::vector<int> starts;
    std::vector<Round> rounds;
    Buffer<NodeMemory<T>> nodes;  // this rank's part of each node, in the order of the tree
  };
  struct Owned {
    VirtualRankRange node;
    std::size_t rank, number, received;  // number: on its rank; received: position among the nodes of other ranks
  };

  const Communicator& comm_;
  Span<T> arena_;
  bool staged_;
  VirtualRankSums<T> sums_;
  std::vector<Owned> all_;   // nodes of all ranks, in the order of the tree
  std::int64_t others_ = 0;  // number of these on other ranks
  std::size_t rounds_ = 0;
  Buffer<NodeAddition> additions_;
  std::deque<Piece> pieces_;            // a deque does not copy its elements
  std::vector<HostBuffer<T>> staging_;  // of each node of this rank
  WireMemory<T> received_;
};

}  // namespace trireme
