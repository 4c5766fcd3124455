// Status of this rank in its training: the step, the layer, and whether it computes, waits for other ranks or for data. The training thread writes it
// with plain stores into memory. Watchdogs read it, including those of other ranks of the node. They need no MPI call for that, because a rank that
// hangs makes none.
#pragma once

#include <mpi.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace trireme {

/// Status of one rank, in memory that processes share. All bytes zero is a valid state.
struct RankStatus {
  enum Doing : std::int32_t { computing = 0, waiting = 1, reading = 2 };

  std::atomic<std::uint32_t> version;  // odd during a write
  std::atomic<std::int32_t> doing;
  std::atomic<std::int64_t> beat;  // steady clock, ns: last sign of life of its watchdog
  std::int64_t since;              // steady clock, ns: start of the current activity
  std::int64_t step;               // from 1; 0: before the first step
  std::int32_t backward;
  char layer[68];      // the last layer that started; empty: none in this step
  char operation[80];  // the operation that it waits for

  struct Copy {
    Doing doing;
    std::int64_t beat, since, step;
    bool backward;
    std::string layer, operation;
    bool of_one_moment;

    /// "step 12, backward of 'conv1'"
    std::string place() const;
  };
  /// A consistent copy. May give up after some milliseconds, for example if the writer was stopped in the middle of a write.
  Copy read() const;
};

/// Time in nanoseconds of the clock of `since` and `beat`; all processes of a node share this clock.
std::int64_t steady_nanoseconds();

/// Sets the entry that the calling thread writes to; null: none (the default). The content of the previous entry is copied.
void write_whereabouts_to(RankStatus* entry);
/// Place of the calling thread, for messages: "step 12, backward of 'conv1'"; empty without an entry.
std::string place_of_this_thread();

// All of these do nothing on a thread without an entry.
void record_step(std::int64_t step);
void now_in_layer(std::string_view name, bool backward);

/// Marks the calling thread as waiting during its lifetime.
class WaitScope {
 public:
  /// Waits for other ranks, in `operation` (a string literal) on `comm`.
  WaitScope(const char* operation, MPI_Comm comm);
  /// Waits for its own data or files.
  explicit WaitScope(const char* operation);
  ~WaitScope();
  WaitScope(const WaitScope&) = delete;
  WaitScope& operator=(const WaitScope&) = delete;

 private:
  bool outermost_ = false;
};

}  // namespace trireme
