// Reduces gradients over the ranks of the data axis during backward. The gradient arena is divided into buckets from its end, which is ready first.
// The reduction of a bucket starts when its last gradient is final. All ranks start buckets in the same order.
//
// Communication per bucket of n elements of b bytes among p ranks. The bytes are the theoretical minimum that each rank sends:
//   all-reduce                       2 (p - 1)/p n b
//   shard: reduce-scatter            (p - 1)/p n b, and the same again for the all-gather of the updated parameters
//   reduce_dtype = bf16              all-to-all of pieces in bf16; each rank sums its piece in T; all-gather of the rounded sums: 2 (p - 1)/p n 2;
//                                    with shard only the first half, because the owner updates from its sum in T
//   virtual ranks                    all-to-all of pieces of the k tree nodes on a rank; each rank adds up its piece; all-gather: (k + 1)(p - 1)/p n b;
//                                    with shard only the first part, and the all-gather of parameters
//   hierarchical (k ranks per node)  reduce to the first rank of each node; all-reduce among these m ranks, 2 (m - 1)/m n b; broadcast in the node
//
// Bucket size: N bytes of gradients in buckets of s bytes need N/s start-ups of a seconds each, which take time from the computing ranks. The last
// bucket takes s c seconds (c seconds per byte), and no computation is left to hide it. a N/s + s c has its minimum at s = sqrt(N a/c). Two
// all-reduces on this communicator, of 1 KiB and of up to 1 MiB, measure a and c. s is rounded to a power of two between 64 KiB and 64 MiB. If
// reductions take longer than backward, larger buckets would not help, because the reduction of the first one cannot start before its gradients are
// final. Rank 0 decides for all.
//
// Bits: sums over two ranks do not depend on the order. On more ranks the order in which MPI adds may depend on the size of the message and on the
// algorithm. All-reduces of MPICH pair ranks in the same way for every size (tests/unit/optim); with other libraries set parallel.bucket and
// parallel.reduce to reproduce bits. All ranks always hold the same bits. With virtual ranks none of this matters: sums follow the tree of
// reduction_tree.hpp, on any number of ranks.
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
#include "kokkos_kernels/compression.hpp"
#include "reduction/communication_report.hpp"
#include "reduction/compressed_memory.hpp"
#include "reduction/virtual_rank_exchange.hpp"
#include "reduction/zero_partition.hpp"

namespace trireme {

struct ReduceOptions {
  enum class Algorithm { automatic, flat, hierarchical };

  std::int64_t bucket_bytes = 0;  // 0: choose by measurement
  std::int64_t gradients = -1;    // number of gradients in the arena; elements after them are reduced in full on all ranks. -1: all
  bool shard = false;
  bool bf16 = false;
  Algorithm algorithm = Algorithm::flat;          // automatic: measure and use the faster one; flat with shard, bf16 or virtual ranks
  std::vector<VirtualRankRange> virtual_ranks{};  // of each rank: consecutive leaves of one tree; empty: MPI reductions. Not with bf16
  std::string axis = "data";                      // for messages and names of communicators

  /// From parallel.bucket, reduce_dtype and reduce, optimizer.shard and data.virtual_ranks. Usage errors name options that cannot be combined.
  static ReduceOptions from(const Deck& deck, const GridShape& grid, std::int64_t gradients);
  /// Total number of virtual ranks of all ranks.
  ReductionTree reduction_tree() const;
  /// Additional memory for virtual ranks on a rank with an arena of this size: own tree nodes and nodes of other ranks, in elements.
  std::int64_t virtual_rank_memory(std::int64_t arena, int rank) const;
  /// Tree nodes that remain on a rank.
  std::int64_t nodes_of(int rank) const;
};

template <class T>
class GradientReducer {
 public:
  /// `arena`: gradients and control numbers, see Network. `cuts`: offsets at which gradients become final (a layer's first parameter), in any order.
  /// Buckets end at such offsets and have at least their size, except the last. Collective over `comm`; measuring takes some milliseconds.
  GradientReducer(const Communicator& comm, Span<T> arena, std::vector<std::int64_t> cuts, const ReduceOptions& options);

  /// With virtual ranks: the gradient of a virtual rank other than this rank's last is complete. It leaves the arena, which is set to 0. Not
  /// collective.
  void end_lane(const Execution& exec) { virtual_ranks_->sums().take(exec); }
  /// Gradients from `offset` to the end of the arena (of the last virtual rank) are final when the work on `exec` ends. Starts the reductions that
  /// are now possible.
  void ready(const Execution& exec, std::int64_t offset);
  /// Starts the remaining reductions and waits for all. Afterwards the arena holds the sums over all ranks: all gradients, or with shard only those
  /// that this rank owns; and the control numbers.
  void finish(const Execution& exec);

  /// With shard: start and wait for the all-gather of the parameters that each rank owns and has updated on `exec`. Without shard both do nothing.
  void begin_gather(const Execution& exec, Span<T> values);
  void finish_gather(const Execution& exec);

  /// The gradients that this rank owns: all of them without shard.
  const ZeroPartition& shards() const { return shards_; }

  /// With bf16: the accumulated rounding error, summed over the ranks, on the host; element i belongs to gradient i. The sum is also given to the
  /// owners of the elements, as take_error() does, so that a continuing run and a run restarted from a checkpoint hold the same bits. Empty without
  /// bf16. Collective.
  std::vector<T> whole_error(const Execution& exec);
  void take_error(const Execution& exec, const std::vector<T>& whole);

  /// The bucket size and algorithm in use. A run that resumes on the same number of ranks uses the same ones, so its sums have the same order.
  std::int64_t bucket_bytes() const { return bucket_bytes_; }
  bool by_nodes() const { return mode_ == Mode::hierarchical; }
  std::size_t buckets() const { return buckets_.size(); }
  std::int64_t bytes() const { return static_cast<std::int64_t>(arena_.size() * sizeof(T)); }
  /// Total seconds of waiting in finish() and finish_gather(): the communication that computation did not hide.
  double exposed_seconds() const { return reduces_.seconds + gather_waits_.seconds; }
  static constexpr std::size_t remembered = 1024;

  /// Measures the communication of a step without concurrent computation, for the hidden fraction in the report. Sets gradients and control to 0.
  /// Collective.
  void measure(const Execution& exec);
  /// One line for the log: the algorithm, and the reason for it.
  std::string plan() const;
  /// Adds the lines of this axis: communication since measure() or the start. Collective: compares waits of the last `remembered` steps over the
  /// ranks.
  void report(CommunicationReport& report) const;

 private:
  enum class Mode { sum, hierarchical, scatter, exchange, virtual_ranks };
  struct Bucket {
    std::int64_t first, last;                                      // range in the arena
    std::int64_t own_first = 0, own_last = 0;                      // the part that this rank sums for the others
    std::int64_t own_at = 0;                                       // offset in compact memory: in own_, and in received_ times the number of other ranks
    std::vector<int> counts, starts;                               // part of each rank, from `first`
    std::vector<int> send_counts, receive_counts, receive_starts;  // of the all-to-all
    bool gradients = true;                                         // false: the elements after the gradients
    int stage = 0;                                                 // number of operations started: 0 filling, stages_ + 1 done
    Request request;
  };
  /// Seconds of waiting, total and for each of the last steps.
  struct Waits {
    double seconds = 0;
    std::size_t steps = 0;
    std::vector<double> last = std::vector<double>(remembered);
    void add(double wait) { seconds += wait, last[steps++ % remembered] = wait; }
    double mean() const { return seconds / static_cast<double>(std::max<std::size_t>(steps, 1)); }
    /// Mean over the remembered steps of the smallest wait of any rank. Collective.
    double least(const Communicator& comm) const;
  };

  void choose(std::int64_t gradient_bytes, const ReduceOptions& options);
  void cut(std::vector<std::int64_t> cuts, std::int64_t bucket_bytes);
  void divide();
  void start(const Execution& exec, std::size_t bucket);
  void begin(const Execution& exec, Bucket& bucket);
  /// The operation of the bucket is complete: processes its result and starts the next operation.
  void advance(const Execution& exec, Bucket& bucket);
  void poll(const Execution& exec);
  /// The operations of a bucket; each starts after the previous one is complete.
  bool done(Bucket& bucket);
  void wait(Bucket& bucket);
  std::size_t number_of(const Bucket& bucket) const { return static_cast<std::size_t>(&bucket - buckets_.data()); }
  bool gathers(const Bucket& bucket) const { return !shard_ || !bucket.gradients; }
  T* memory(std::int64_t first) { return (staged_ ? staging_.data() : arena_.data()) + first; }
  void to_staging(const Execution& exec, std::int64_t first, std::int64_t last);
  std::int64_t end() const { return static_cast<std::int64_t>(arena_.size()); }

  Communicator comm_;
  std::optional<Communicator> node_, second_, third_, tail_comm_;  // one communicator per operation: their order may differ between ranks
  int nodes_ = 1, ranks_of_node_ = 1;
  bool leads_ = false;  // this rank is the first of its node
  Span<T> arena_;
  std::int64_t gradients_;
  Mode mode_ = Mode::sum;
  bool shard_, bf16_;
  int stages_ = 1;
  std::string axis_, why_;  // why_: measured values
  std::int64_t bucket_bytes_ = 0;
  std::vector<Bucket> buckets_;  // from the end of the arena
  ZeroPartition shards_;
  std::size_t next_ = 0;  // buckets before this one are in flight
  Request tail_;          // of the elements after the gradients, if they are not part of the first bucket
  bool staged_;           // MPI cannot access the arena's memory: reductions run in pinned host memory
  HostBuffer<T> staging_;
  WireMemory<T> own_;                 // reduce-scatter: the received part
  WireMemory<Bf16> sent_, received_;  // all-to-all
  std::optional<VirtualRankExchange<T>> virtual_ranks_;
  Buffer<T> error_;  // all-to-all: rounding error of what this rank sends and, for owned elements, of the sums that it sends
  std::vector<Request> gathers_;
  Span<T> gathered_;
  HostBuffer<T> gather_staging_;
  Waits reduces_, gather_waits_;
  double alone_ = 0, gather_alone_ = 0;
};

}  // namespace trireme
