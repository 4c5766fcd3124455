// What a program takes from the heap: a test program that links counted_heap.cpp replaces operator new. That file is ordinary C++: a device's compiler
// would take it for its own.
#pragma once

#include <cstddef>
#include <vector>

namespace trireme::test {

/// Counts from its making until taken() is called. One at a time.
class CountedHeap {
 public:
  CountedHeap();
  ~CountedHeap();
  CountedHeap(const CountedHeap&) = delete;
  CountedHeap& operator=(const CountedHeap&) = delete;
  /// Bytes of each allocation, at most 4096 of them.
  std::vector<std::size_t> taken();
};

}  // namespace trireme::test
