// A group of ranks that communicate with each other, and requests for pending operations.
#pragma once

#include <mpi.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "comm/comm_stats.hpp"
#include "comm/environment.hpp"
#include "comm/rank_status.hpp"

namespace trireme {

template <class T>
MPI_Datatype mpi_type() = delete;
template <>
inline MPI_Datatype mpi_type<char>() {
  return MPI_CHAR;
}
template <>
inline MPI_Datatype mpi_type<std::byte>() {
  return MPI_BYTE;
}
template <>
inline MPI_Datatype mpi_type<std::uint16_t>() {
  return MPI_UINT16_T;
}
template <>
inline MPI_Datatype mpi_type<int>() {
  return MPI_INT;
}
template <>
inline MPI_Datatype mpi_type<std::int64_t>() {
  return MPI_INT64_T;
}
template <>
inline MPI_Datatype mpi_type<std::uint64_t>() {
  return MPI_UINT64_T;
}
template <>
inline MPI_Datatype mpi_type<float>() {
  return MPI_FLOAT;
}
template <>
inline MPI_Datatype mpi_type<double>() {
  return MPI_DOUBLE;
}

/// A non-blocking operation. Its buffers must live until wait(). The destructor of a pending request waits.
class Request {
 public:
  Request() = default;
  /// `operation` (a string literal) and `comm` describe the wait in reports of the watchdog. `meter` counts the operation and must outlive it;
  /// `comes`: whether the operation brings data to this rank.
  explicit Request(MPI_Request request, const char* operation = "a message", MPI_Comm comm = MPI_COMM_NULL, Meter* meter = nullptr, bool comes = false);
  Request(Request&& other) noexcept
      : request_(std::exchange(other.request_, MPI_REQUEST_NULL)),
        operation_(other.operation_),
        comm_(other.comm_),
        meter_(std::exchange(other.meter_, nullptr)),
        comes_(other.comes_) {}
  Request& operator=(Request&& other) noexcept;
  ~Request();

  bool done();  // also lets MPI make progress
  void wait();

 private:
  void complete();

  MPI_Request request_ = MPI_REQUEST_NULL;
  const char* operation_ = "";
  MPI_Comm comm_ = MPI_COMM_NULL;
  Meter* meter_ = nullptr;
  bool comes_ = false;
};

class Communicator {
 public:
  /// Duplicates `comm`. Collective over `comm`.
  explicit Communicator(MPI_Comm comm);
  static Communicator world() { return Communicator(MPI_COMM_WORLD); }
  Communicator(Communicator&& other) noexcept;
  Communicator& operator=(Communicator&& other) noexcept;
  ~Communicator();

  int rank() const { return rank_; }
  int size() const { return size_; }
  MPI_Comm handle() const { return comm_; }

  // All functions from here on are collective.
  Communicator duplicate() const { return Communicator(comm_); }
  /// The ranks with the same `color`, ordered by `key` (ties: by their rank here).
  Communicator split(int color, int key) const;
  /// The ranks of this node, that is, those that share its memory. For tests, TRIREME_RANKS_PER_NODE = k treats every k consecutive ranks of the job
  /// as one node (0 or unset: the nodes of MPI), so that one machine can run what several nodes run.
  Communicator split_by_node() const;
  /// Sets the name, for tools and for tests that count messages. Duplicates do not inherit it.
  Communicator& named(const std::string& name);
  std::string name() const;
  /// Counts and times the communication: sends and receives between two ranks, sums, and gathers into memory of the caller. Duplicates do not inherit
  /// the meter. `meter` must outlive the communicator and its requests.
  Communicator& metered(Meter& meter) { return meter_ = &meter, *this; }
  void barrier() const {
    const WaitScope now("barrier", comm_);
    TRIREME_MPI(MPI_Barrier(comm_));
  }

  template <class T>
  void all_reduce(std::span<T> values, MPI_Op op = MPI_SUM) const {
    if (size_ == 1) return;
    const WaitScope now("all-reduce", comm_);
    const Blocked blocked(meter_, 1, sum_bytes(values.size_bytes()));
    TRIREME_MPI(MPI_Allreduce(MPI_IN_PLACE, values.data(), count(values), mpi_type<T>(), op, comm_));
  }
  template <class T>
  requires std::is_arithmetic_v<T> T all_reduce(T value, MPI_Op op = MPI_SUM)
  const {
    all_reduce(std::span<T>(&value, 1), op);
    return value;
  }
  /// Starts an all-reduce (sum) in place.
  template <class T>
  Request begin_all_reduce(T* values, std::size_t n) const {
    MPI_Request request = MPI_REQUEST_NULL;
    TRIREME_MPI(MPI_Iallreduce(MPI_IN_PLACE, values, count(n), mpi_type<T>(), MPI_SUM, comm_, &request));
    return under_way(request, "all-reduce", true, 1, sum_bytes(n * sizeof(T)));
  }
  // Not collective: messages between two ranks, matched by `tag` in the order of their start.
  template <class T>
  Request begin_send(const T* values, std::size_t n, int to, int tag) const {
    MPI_Request request = MPI_REQUEST_NULL;
    TRIREME_MPI(MPI_Isend(values, count(n), mpi_type<T>(), to, tag, comm_, &request));
    return under_way(request, "send", false, 1, static_cast<double>(n * sizeof(T)));
  }
  template <class T>
  Request begin_receive(T* values, std::size_t n, int from, int tag) const {
    MPI_Request request = MPI_REQUEST_NULL;
    TRIREME_MPI(MPI_Irecv(values, count(n), mpi_type<T>(), from, tag, comm_, &request));
    return under_way(request, "receive", true, 0, 0);
  }
  // Non-blocking collectives. Lists of counts and starts (in elements, one per rank) must live until wait(), like the buffers.
  /// Starts the sum of `values` over all ranks, in place on `root`; values on other ranks do not change.
  template <class T>
  Request begin_reduce(T* values, std::size_t n, int root) const {
    MPI_Request request = MPI_REQUEST_NULL;
    const bool here = rank_ == root;
    TRIREME_MPI(MPI_Ireduce(here ? MPI_IN_PLACE : values, here ? values : nullptr, count(n), mpi_type<T>(), MPI_SUM, root, comm_, &request));
    return Request(request, "reduce", comm_);
  }
  template <class T>
  Request begin_broadcast(T* values, std::size_t n, int root) const {
    MPI_Request request = MPI_REQUEST_NULL;
    TRIREME_MPI(MPI_Ibcast(values, count(n), mpi_type<T>(), root, comm_, &request));
    return Request(request, "broadcast", comm_);
  }
  /// Starts a reduce-scatter: rank r receives the sum of part r of `values`, of counts[r] elements; the parts are contiguous.
  template <class T>
  Request begin_reduce_scatter(const T* values, T* mine, const int* counts) const {
    MPI_Request request = MPI_REQUEST_NULL;
    TRIREME_MPI(MPI_Ireduce_scatter(values, mine, counts, mpi_type<T>(), MPI_SUM, comm_, &request));
    return Request(request, "reduce-scatter", comm_);
  }
  /// Starts an all-gather in place: the part of every rank in `values` is sent to all ranks.
  template <class T>
  Request begin_all_gather(T* values, const int* counts, const int* starts) const {
    MPI_Request request = MPI_REQUEST_NULL;
    TRIREME_MPI(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, values, counts, starts, mpi_type<T>(), comm_, &request));
    return Request(request, "all-gather", comm_);
  }
  /// Starts an all-to-all: this rank sends send_counts[r] elements, from send_starts[r] on, to rank r.
  template <class T>
  Request begin_all_to_all(const T* send, const int* send_counts, const int* send_starts, T* receive, const int* receive_counts,
                           const int* receive_starts) const {
    MPI_Request request = MPI_REQUEST_NULL;
    TRIREME_MPI(MPI_Ialltoallv(send, send_counts, send_starts, mpi_type<T>(), receive, receive_counts, receive_starts, mpi_type<T>(), comm_, &request));
    return Request(request, "all-to-all", comm_);
  }
  template <class T>
  void broadcast(std::span<T> values, int root = 0) const {
    if (size_ == 1) return;
    const WaitScope now("broadcast", comm_);
    TRIREME_MPI(MPI_Bcast(values.data(), count(values), mpi_type<T>(), root, comm_));
  }
  std::string broadcast(std::string text, int root = 0) const;
  /// Returns the concatenation of the values of all ranks, in rank order, on all ranks.
  template <class T>
  std::vector<T> all_gather(std::span<const T> mine) const;
  /// The same into memory of the caller: the counts[r] values of rank r go to starts[r].
  template <class T>
  void all_gather(const T* mine, std::span<const int> counts, std::span<const int> starts, T* all) const {
    const WaitScope now("all-gather", comm_);
    const auto others = static_cast<double>(size_ - 1), own = static_cast<double>(counts[static_cast<std::size_t>(rank_)]);
    const Blocked blocked(meter_, others, others * own * sizeof(T));
    TRIREME_MPI(MPI_Allgatherv(mine, counts[static_cast<std::size_t>(rank_)], mpi_type<T>(), all, counts.data(), starts.data(), mpi_type<T>(), comm_));
  }
  /// Gathers a text of every rank, in rank order, on rank 0; returns an empty list on other ranks.
  std::vector<std::string> gather(const std::string& mine) const;

  // Between two ranks; not collective. Sent in pieces, so any number of elements is possible.
  template <class T>
  void send(std::span<const T> values, int to) const;
  template <class T>
  void receive(std::span<T> values, int from) const;

  /// Runs `action` on every rank. If it throws trireme::Error on some rank, every rank throws the error of the lowest such rank, so that there is
  /// only one message. Collective.
  void together(const std::function<void()>& action) const;

 private:
  template <class T>
  static int count(std::span<T> values) {
    return count(values.size());
  }
  /// MPI counts are int: the caller must split longer messages.
  static int count(std::size_t n) {
    constexpr int most = std::numeric_limits<int>::max();
    if (n > static_cast<std::size_t>(most)) throw internal_error("a message of {} elements; MPI allows at most {}", n, most);
    return static_cast<int>(n);
  }

  /// Reports a blocking call to the meter.
  class Blocked {
   public:
    Blocked(Meter* meter, double messages, double bytes) : meter_(meter) {
      if (meter == nullptr) return;
      meter->sent(messages, bytes);
      meter->begin();
      timer_.emplace();
    }
    ~Blocked() {
      if (meter_ != nullptr) meter_->waited(timer_->seconds()), meter_->end();
    }
    Blocked(const Blocked&) = delete;
    Blocked& operator=(const Blocked&) = delete;

   private:
    Meter* meter_;
    std::optional<Timer> timer_;
  };
  double sum_bytes(std::size_t bytes) const { return 2.0 * (size_ - 1) / size_ * static_cast<double>(bytes); }
  Request under_way(MPI_Request request, const char* operation, bool comes, double messages, double bytes) const {
    if (meter_ != nullptr) meter_->sent(messages, bytes);
    return Request(request, operation, comm_, meter_, comes);
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  Meter* meter_ = nullptr;
};

template <class T>
std::vector<T> Communicator::all_gather(std::span<const T> mine) const {
  const WaitScope now("all-gather", comm_);
  const int n = count(mine);
  std::vector<int> counts(static_cast<std::size_t>(size_)), starts(static_cast<std::size_t>(size_));
  TRIREME_MPI(MPI_Allgather(&n, 1, MPI_INT, counts.data(), 1, MPI_INT, comm_));
  int total = 0;
  for (std::size_t r = 0; r < counts.size(); ++r) starts[r] = total, total += counts[r];
  std::vector<T> all(static_cast<std::size_t>(total));
  TRIREME_MPI(MPI_Allgatherv(mine.data(), n, mpi_type<T>(), all.data(), counts.data(), starts.data(), mpi_type<T>(), comm_));
  return all;
}

namespace detail {
inline constexpr std::size_t message_elements = std::size_t{1} << 26;
}

template <class T>
void Communicator::send(std::span<const T> values, int to) const {
  const WaitScope now("send", comm_);
  for (std::size_t first = 0; first < values.size(); first += detail::message_elements) {
    const auto part = values.subspan(first, std::min(values.size() - first, detail::message_elements));
    TRIREME_MPI(MPI_Send(part.data(), count(part), mpi_type<T>(), to, 0, comm_));
  }
}

template <class T>
void Communicator::receive(std::span<T> values, int from) const {
  const WaitScope now("receive", comm_);
  for (std::size_t first = 0; first < values.size(); first += detail::message_elements) {
    const auto part = values.subspan(first, std::min(values.size() - first, detail::message_elements));
    TRIREME_MPI(MPI_Recv(part.data(), count(part), mpi_type<T>(), from, 0, comm_, MPI_STATUS_IGNORE));
  }
}

}  // namespace trireme
