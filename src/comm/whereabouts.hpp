// Where this rank is in its training: the step, the layer, and whether it computes, waits for other ranks or for its data. Written by the thread that trains,
// as plain stores into memory; read by watchdogs, those of other ranks of the node too, which need no call to MPI for it: a rank that hangs makes none.
#pragma once

#include <mpi.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace trireme {

/// One rank's entry. Lies in memory that processes share; zero bytes are a legal one.
struct Whereabouts {
  enum Doing : std::int32_t { computing = 0, waiting = 1, reading = 2 };

  std::atomic<std::uint32_t> version;  // odd while it is being written
  std::atomic<std::int32_t> doing;
  std::atomic<std::int64_t> beat;      // steady clock, ns: its watchdog's last sign of life
  std::int64_t since;                  // steady clock, ns: of what it does now
  std::int64_t step;                   // from 1 on; 0: before the first
  std::int32_t backward;
  char layer[68];                      // the last one that was begun; empty: none yet in this step
  char operation[80];                  // what it waits for

  struct Copy {
    Doing doing;
    std::int64_t beat, since, step;
    bool backward;
    std::string layer, operation;

    /// "step 12, backward of 'conv1'"
    std::string place() const;
  };
  /// A copy that is of one moment (or, after many tries, torn: its writer was stopped in the middle of it).
  Copy read() const;
};

/// Nanoseconds of the clock in `since` and `beat`; the same clock in all processes of a node.
std::int64_t steady_nanoseconds();

/// The entry that the calling thread writes to from now on; null: none (as at first). What an earlier one held is taken along.
void write_whereabouts_to(Whereabouts* entry);
/// The calling thread's place, for messages: "step 12, backward of 'conv1'"; empty where it has none.
std::string place_of_this_thread();

// All of these do nothing on a thread without an entry.
void now_in_step(std::int64_t step);
void now_in_layer(std::string_view name, bool backward);

/// While it lives the calling thread waits.
class NowWaiting {
 public:
  /// For other ranks, in `operation`, a literal, on `comm`.
  NowWaiting(const char* operation, MPI_Comm comm);
  /// For its own data or files.
  explicit NowWaiting(const char* operation);
  ~NowWaiting();
  NowWaiting(const NowWaiting&) = delete;
  NowWaiting& operator=(const NowWaiting&) = delete;

 private:
  bool outermost_ = false;
};

}  // namespace trireme
