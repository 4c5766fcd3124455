// What a program hands to MPI: a test program that links counted_mpi.cpp counts its calls through MPI's profiling interface, by the name of the
// communicator (Communicator::named) and of the call. Bytes are what this rank gives to be sent: the list itself for all-reduce, reduce,
// reduce-scatter and a broadcast's root; its own part for all-gathers; what is meant for other ranks in all-to-alls and sends.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace trireme::test {

/// Counts from its making on; one at a time, one thread.
class CountedMpi {
 public:
  struct Count {
    std::int64_t calls = 0, bytes = 0;
  };
  CountedMpi();
  ~CountedMpi();
  CountedMpi(const CountedMpi&) = delete;
  CountedMpi& operator=(const CountedMpi&) = delete;
  /// Of `call` ("Iallreduce", without MPI_) on communicators of that name; nothing where there was none.
  Count of(const std::string& communicator, const std::string& call) const;
  /// All that was counted.
  const std::map<std::pair<std::string, std::string>, Count>& all() const;
  void reset();
};

}  // namespace trireme::test
