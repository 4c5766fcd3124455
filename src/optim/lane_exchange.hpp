// Nodes of lanes between ranks (lane_tree.hpp): of a piece of the gradient arena each rank gets a part of every node of every other rank, and adds it up. What is
// sent is sent from where it lies: a round of messages for each node that some rank has.
#pragma once

#include <deque>
#include <vector>

#include "comm/communicator.hpp"
#include "optim/lane_sums.hpp"
#include "optim/wire_memory.hpp"

namespace trireme {

template <class T>
class LaneExchange {
 public:
  /// `lanes`: of each rank of `comm`, which outlives it. `staged`: MPI may not touch the arena's memory. Not collective.
  LaneExchange(const Communicator& comm, const LaneTree& tree, const std::vector<LaneRange>& lanes, Span<T> arena, bool staged);

  LaneSums<T>& sums() { return sums_; }
  /// Nodes that this rank is left with, and the most of any: so many rounds a piece has.
  std::size_t nodes() const { return sums_.nodes().size(); }
  std::size_t rounds() const { return rounds_; }

  /// Elements [first, first + sum of counts) are a piece: rank r adds up counts[r] of them, from first + starts[r] on. Pieces are numbered as they are
  /// added; after the last one comes allocate(). Usage errors of pieces too large for MPI.
  void add_piece(std::int64_t first, const std::vector<int>& counts, const std::vector<int>& starts);
  void allocate();

  /// The last lane's gradient of this piece is complete on `exec`; what was launched there must have ended before begin().
  void finish_lanes(const Execution& exec, std::size_t piece);
  /// Pieces begin in one order on all ranks.
  void begin(std::size_t piece);
  bool done(std::size_t piece);  // also lets MPI make progress
  void wait(std::size_t piece);
  /// The sum over all lanes goes to this rank's part of the arena.
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
    Buffer<NodeMemory<T>> nodes;  // this rank's part of each, in the order of the tree
  };
  struct Owned {
    LaneRange node;
    std::size_t rank, number, received;  // number: on its rank; received: among those of others
  };

  const Communicator& comm_;
  Span<T> arena_;
  bool staged_;
  LaneSums<T> sums_;
  std::vector<Owned> all_;               // nodes of all ranks, in the order of the tree
  std::int64_t others_ = 0;              // of these, of other ranks
  std::size_t rounds_ = 0;
  Buffer<NodeAddition> additions_;
  std::deque<Piece> pieces_;             // not copied
  std::vector<HostBuffer<T>> staging_;   // of each node of this rank
  WireMemory<T> received_;
};

}  // namespace trireme
