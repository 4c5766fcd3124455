#include "support/counted_heap.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<bool> watching{false};
std::atomic<std::size_t> count{0};
std::size_t bytes_of[4096];
}  // namespace

// Not inlined: a compiler that sees malloc and free through half of a pair takes them for a mistake.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (watching) bytes_of[count++ % std::size(bytes_of)] = bytes;
  if (void* memory = std::malloc(bytes > 0 ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace trireme::test {

CountedHeap::CountedHeap() {
  count = 0;
  watching = true;
}

CountedHeap::~CountedHeap() { watching = false; }

std::vector<std::size_t> CountedHeap::taken() {
  watching = false;
  return {bytes_of, bytes_of + std::min<std::size_t>(count, std::size(bytes_of))};
}

}  // namespace trireme::test
