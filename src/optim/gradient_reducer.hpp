// Sums gradients over the ranks of the data axis while backward still runs. The gradient arena is the buckets: a bucket is a range of it,
// cut from the end (which is ready first), and its sum starts when its last gradient is final. All ranks start buckets in one order.
//
// What travels for a bucket of n elements of b bytes among p ranks; bytes are those that a rank sends where ranks send as little as they can:
//   all-reduce                       2 (p - 1)/p n b
//   shard: reduce-scatter            (p - 1)/p n b, and (p - 1)/p n b again when the updated values come back (all-gather)
//   wire = bf16                      the ranks exchange pieces (all-to-all), each sums its own in T, and gathers the rounded sums: 2 (p - 1)/p n 2;
//                                    with shard the first half alone: the owner updates from the sum that it has in T
//   lanes (k nodes of the tree on a rank) the ranks exchange pieces of their nodes, each adds up its own, and gathers: (k + 1)(p - 1)/p n b; with shard the
//                                    first part alone, and the gather of values
//   hierarchical (k ranks a node)    reduce within the node to its first rank; all-reduce among those of m nodes, 2 (m - 1)/m n b; broadcast in the node
//
// The size of buckets: with N bytes of gradients in buckets of s, N/s start-ups of a seconds each are driven by the ranks that compute, and the last
// bucket, s c seconds at c seconds a byte, has nothing left to hide behind. a N/s + s c is least at s = sqrt(N a/c): a and c are measured on this
// communicator by two sums, of 1 KiB and of up to 1 MiB, s is brought to a power of two and held between 64 KiB and 64 MiB. Where sums take longer than
// backward, larger buckets would not help: the sum of the first cannot begin before its gradients are there. Rank 0 decides for all.
//
// Bits: sums of two ranks depend on nothing. On more, the order in which MPI adds may depend on the size of a message and on the way chosen; MPICH's
// all-reduces pair ranks alike for every size (tests/unit/optim), other libraries may not: there, bits are reproduced with parallel.bucket and
// parallel.reduce given. All ranks always hold the same bits. With lanes nothing of this matters: the sum is that of lane_tree.hpp, on any number of ranks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/timer.hpp"
#include "comm/communicator.hpp"
#include "comm/process_grid.hpp"
#include "config/deck.hpp"
#include "kokkos_kernels/wire.hpp"
#include "optim/communication_report.hpp"
#include "optim/lane_exchange.hpp"
#include "optim/shards.hpp"
#include "optim/wire_memory.hpp"

namespace trireme {

struct ReduceOptions {
  enum class Way { automatic, flat, hierarchical };

  std::int64_t bucket_bytes = 0;  // 0: measured
  std::int64_t gradients = -1;    // elements of the arena that are gradients; those behind it travel in full and come to all ranks. -1: all
  bool shard = false;
  bool bf16 = false;
  Way way = Way::flat;            // automatic: what is faster for a bucket, measured; flat with shard, bf16 or lanes
  std::vector<LaneRange> lanes{};  // of each rank: leaves of one tree, all of them; empty: sums are MPI's. Not with bf16
  std::string axis = "data";      // for messages, and the names of communicators

  /// From parallel.bucket, wire and reduce, optimizer.shard and data.lanes. Usage errors say what does not go together.
  static ReduceOptions from(const Deck& deck, const GridShape& grid, std::int64_t gradients);
  /// Of all lanes of all ranks.
  LaneTree lane_tree() const;
  /// Memory that lanes take beside an arena of so many elements on a rank: nodes under way and nodes of others, elements.
  std::int64_t lane_memory(std::int64_t arena, int rank) const;
  /// Nodes of the tree that a rank is left with.
  std::int64_t nodes_of(int rank) const;
};

template <class T>
class GradientReducer {
 public:
  /// `arena`: gradients and control, see Network. `cuts`: offsets at which gradients become final (a layer's first parameter), any order. Buckets
  /// hold at least their size, but for the last, and end at such offsets. Collective over `comm`; takes some milliseconds where it measures.
  GradientReducer(const Communicator& comm, Span<T> arena, std::vector<std::int64_t> cuts, const ReduceOptions& options);

  /// With lanes: the gradient of a lane that is not this rank's last is complete in the arena, which becomes 0. Not collective.
  void end_lane(const Execution& exec) { lanes_->sums().take(exec); }
  /// Gradients from `offset` to the end of the arena (of the last lane) are final once what is launched on `exec` ends: starts the sums that became possible.
  void ready(const Execution& exec, std::int64_t offset);
  /// Starts what is left and waits for all. Afterwards the arena holds the sums over all ranks: all of it, or, with shard, what this rank owns of the
  /// gradients, and the control numbers.
  void finish(const Execution& exec);

  /// With shard: brings the values that each rank owns (and has updated, on `exec`) to all ranks; begins, and waits. Else neither does anything.
  void begin_gather(const Execution& exec, Span<T> values);
  void finish_gather(const Execution& exec);

  /// What this rank owns of the gradients: all of them without shard.
  const Shards& shards() const { return shards_; }

  /// With bf16: what rounding still owes, summed over the ranks, on the host; element i belongs to gradient i. The sum is handed to the elements' owners
  /// here as take_error() does, so that a run that goes on and one that starts from a checkpoint hold the same. Empty without. Collective.
  std::vector<T> whole_error(const Execution& exec);
  void take_error(const Execution& exec, const std::vector<T>& whole);

  /// What was chosen, or given: a run that goes on from a checkpoint on as many ranks takes it over, so that its sums have the same order.
  std::int64_t bucket_bytes() const { return bucket_bytes_; }
  bool by_nodes() const { return mode_ == Mode::hierarchical; }
  std::size_t buckets() const { return buckets_.size(); }
  std::int64_t bytes() const { return static_cast<std::int64_t>(arena_.size() * sizeof(T)); }
  /// Seconds spent waiting in finish() and finish_gather(), in all: the part of the communication that compute did not hide.
  double exposed_seconds() const { return reduces_.seconds + gather_waits_.seconds; }
  static constexpr std::size_t remembered = 1024;

  /// Times the communication of a step with nothing beside it, for the report's hidden share. Gradients and control become 0. Collective.
  void measure(const Execution& exec);
  /// One line for people: how it sums, and why.
  std::string plan() const;
  /// Adds this axis' lines: what was sent since measure() or the beginning. Collective: waits of the last `remembered` steps are compared over the ranks.
  void report(CommunicationReport& report) const;

 private:
  enum class Mode { sum, hierarchical, scatter, exchange, lanes };
  struct Bucket {
    std::int64_t first, last;                   // of the arena
    std::int64_t own_first = 0, own_last = 0;   // what this rank sums for the others
    std::int64_t own_at = 0;                    // in compact memory: of own_, of received_ times the other ranks
    std::vector<int> counts, starts;            // of each rank's part, from `first`
    std::vector<int> send_counts, receive_counts, receive_starts;  // of the exchange
    bool gradients = true;                      // not what lies behind them
    int stage = 0;                              // operations begun: 0 filling, stages_ + 1 done
    Request request;
  };
  /// Seconds spent waiting, in all and for each of the last steps.
  struct Waits {
    double seconds = 0;
    std::size_t steps = 0;
    std::vector<double> last = std::vector<double>(remembered);
    void add(double wait) { seconds += wait, last[steps++ % remembered] = wait; }
    double mean() const { return seconds / static_cast<double>(std::max<std::size_t>(steps, 1)); }
    /// Mean over the steps that are remembered of the least wait of any rank. Collective.
    double least(const Communicator& comm) const;
  };

  void choose(std::int64_t gradient_bytes, const ReduceOptions& options);
  void cut(std::vector<std::int64_t> cuts, std::int64_t bucket_bytes);
  void divide();
  void start(const Execution& exec, std::size_t bucket);
  void begin(const Execution& exec, Bucket& bucket);
  /// The bucket's operation is complete: takes what came, begins the next.
  void advance(const Execution& exec, Bucket& bucket);
  void poll(const Execution& exec);
  /// A bucket's own operations, before the next one of it can begin.
  bool done(Bucket& bucket);
  void wait(Bucket& bucket);
  std::size_t number_of(const Bucket& bucket) const { return static_cast<std::size_t>(&bucket - buckets_.data()); }
  bool gathers(const Bucket& bucket) const { return !shard_ || !bucket.gradients; }
  T* memory(std::int64_t first) { return (staged_ ? staging_.data() : arena_.data()) + first; }
  void to_staging(const Execution& exec, std::int64_t first, std::int64_t last);
  std::int64_t end() const { return static_cast<std::int64_t>(arena_.size()); }

  Communicator comm_;
  std::optional<Communicator> node_, second_, third_, tail_comm_;  // an operation a communicator: their order may differ between ranks
  int nodes_ = 1, ranks_of_node_ = 1;
  bool leads_ = false;                // of its node, the first
  Span<T> arena_;
  std::int64_t gradients_;
  Mode mode_ = Mode::sum;
  bool shard_, bf16_;
  int stages_ = 1;
  std::string axis_, why_;            // why_: figures of what was measured
  std::int64_t bucket_bytes_ = 0;
  std::vector<Bucket> buckets_;       // from the arena's end
  Shards shards_;
  std::size_t next_ = 0;              // buckets before this one are under way
  Request tail_;                      // of what lies behind the gradients, where it does not travel with the first bucket
  bool staged_;                       // MPI may not touch the arena's memory: sums run in pinned host memory
  HostBuffer<T> staging_;
  WireMemory<T> own_;                 // scatter: what this rank receives
  WireMemory<Bf16> sent_, received_;  // exchange
  std::optional<LaneExchange<T>> lanes_;
  Buffer<T> error_;                   // exchange: of what this rank sends, and, where it owns, of the sums that it hands out
  std::vector<Request> gathers_;
  Span<T> gathered_;
  HostBuffer<T> gather_staging_;
  Waits reduces_, gather_waits_;
  double alone_ = 0, gather_alone_ = 0;
};

}  // namespace trireme
