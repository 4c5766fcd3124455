// Bytes that Kokkos has really allocated, by what they are for, told by the labels: Kokkos' tools interface reports each allocation and its end.
#pragma once

#include <array>
#include <cstdint>

namespace trireme {

/// What memory of a run is for.
enum class MemoryUse { activations, workspace, messages, other };

/// Counts from its making to its end, in the whole process, whatever thread allocates; a tool that was there before is told as well. Where several live
/// the newest counts, and ends first.
class AllocationCounter {
 public:
  AllocationCounter();
  ~AllocationCounter();
  AllocationCounter(const AllocationCounter&) = delete;
  AllocationCounter& operator=(const AllocationCounter&) = delete;

  struct Bytes {
    std::int64_t now = 0, peak = 0;
  };
  /// Of one use, and of all together.
  Bytes of(MemoryUse use) const;
  Bytes all() const;

  // For the tools interface.
  void add(const char* label, std::int64_t bytes);

 private:
  AllocationCounter* before_;
  std::array<Bytes, 4> uses_;
  Bytes all_;
};

}  // namespace trireme
