// Counts the bytes that Kokkos allocates, by purpose. The labels of allocations determine the purpose; Kokkos' tools interface reports each
// allocation and deallocation.
#pragma once

#include <array>
#include <cstdint>

namespace trireme {

/// Purpose of memory in a run.
enum class MemoryUse { activations, workspace, messages, other };

/// Counts during its lifetime, for the whole process and all threads. Calls a previously registered tool, too. Of several objects the newest one
/// counts, and must be destroyed first.
class AllocationCounter {
 public:
  AllocationCounter();
  ~AllocationCounter();
  AllocationCounter(const AllocationCounter&) = delete;
  AllocationCounter& operator=(const AllocationCounter&) = delete;

  struct Bytes {
    std::int64_t now = 0, peak = 0;
  };
  /// Bytes of one purpose; bytes of all purposes.
  Bytes of(MemoryUse use) const;
  Bytes all() const;

  // Callbacks of the tools interface.
  void add(const char* label, std::int64_t bytes);

 private:
  AllocationCounter* before_;
  std::array<Bytes, 4> uses_;
  Bytes all_;
};

}  // namespace trireme
