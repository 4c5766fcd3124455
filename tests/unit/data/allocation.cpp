// next() in steady state takes no memory: a program of its own, because it replaces operator new.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "made_shards.hpp"
#include "support/temporary_directory.hpp"

namespace {
std::atomic<bool> watching{false};
std::atomic<std::size_t> largest{0};       // of one allocation, any thread
thread_local std::size_t allocations = 0;  // of this thread
}  // namespace

// Not inlined: GCC would pair the new of its own with this delete, and warn.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (watching) {
    ++allocations;
    for (std::size_t before = largest; bytes > before && !largest.compare_exchange_weak(before, bytes);) {
    }
  }
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

using namespace trireme;
using namespace trireme::test;

BOOST_AUTO_TEST_SUITE(allocation)

BOOST_AUTO_TEST_CASE(buffers_are_made_once) {
  const Communicator self(MPI_COMM_SELF);
  const TemporaryDirectory folder(self);
  MadeShards made;
  made.elements = 500;
  make_shards(folder.path(), {900, 0, 1100}, made);
  const DataSet data(self, folder.path().string(), ShardNames{}, Shape{made.elements}, made.demand());
  for (const bool cached : {false, true}) {
    IoThread io;
    BatchStream::Options options;
    options.batch = 50, options.chunk = 64, options.window = 500, options.cache_bytes = cached ? 1 << 30 : 0;
    BatchStream stream(data, io, options);
    stream.seek(0, 0);
    for (std::int64_t b = 0; b < 3 * stream.batches(); ++b) stream.next();
    for (int i = 0; i < 20; ++i) io.run([] {});
    largest = 0;
    std::size_t at_work = 0, steps = 0;  // next() that took memory
    watching = true;
    for (std::int64_t b = 0; b < 4 * stream.batches(); ++b, ++steps) {
      allocations = 0;
      stream.next();
      at_work += allocations > 0;
    }
    watching = false;
    // Only to queue the reading of a window, and then little; a batch has 100 kB, a window's plan 6 kB.
    BOOST_TEST(at_work <= 4u * 4u + 1u);
    BOOST_TEST(largest <= 2048u);
    BOOST_TEST(steps > 100u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
