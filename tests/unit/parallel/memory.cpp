// Memory of a rank's part in the plan, compared with theory. tests/restart/grids.py checks that a run allocates the planned memory.
#include <boost/test/unit_test.hpp>

#include "kokkos_kernels/allocations.hpp"
#include "network/network.hpp"

namespace trireme::test {
namespace {

using Memory = Network<float>;

// Similar to inputs/fields/cosmoflow.ini: convolutions with halos, pooling without, and a head on whole samples.
const std::string layers =
    "[parallel]\nmicro_batches = 1\n[data]\nbatch = 16\n[model]\ninput = 4x64x64x64\n"
    "layer = conv out=16 kernel=3 padding=1\nlayer = leaky_relu slope=0.3\nlayer = max_pool kernel=2\n"
    "layer = conv out=32 kernel=3 padding=1\nlayer = leaky_relu slope=0.3\nlayer = max_pool kernel=2\n"
    "layer = conv out=64 kernel=3 padding=1\nlayer = leaky_relu slope=0.3\nlayer = max_pool kernel=2\nlayer = flatten\nlayer = linear out=2\n";

}  // namespace

// The activations of a rank are its part of those of one rank, and its halos: of the input, which is read, and of received halos. No value is stored twice,
// with and without its halo.
BOOST_AUTO_TEST_CASE(activations_fall_with_the_ranks_of_the_spatial_axis) {
  constexpr std::int64_t samples = 16, number = sizeof(float);
  const Deck deck(layers, "memory");
  const double whole = static_cast<double>(Memory(deck, samples, Memory::Use::training, GridPlace()).summary().temporary_bytes);
  for (const std::array<int, 3>& parts : {std::array{2, 1, 1}, std::array{1, 1, 2}, std::array{2, 2, 1}, std::array{2, 2, 2}, std::array{4, 2, 1}}) {
    const GridShape grid{.spatial = parts};
    for (int rank = 0; rank < grid.ranks(); ++rank) {
      const Memory network(deck, samples, Memory::Use::training, GridPlace(grid, rank));
      double halos = static_cast<double>(network.local_input().size()) - static_cast<double>(network.input_shape().size()) / grid.ranks();
      // What backward gives back is what forward took.
      for (const auto& line : network.traffic())
        if (line.backward) halos += static_cast<double>(line.traffic.elements);
      halos *= samples * number;
      const double own = static_cast<double>(network.summary().temporary_bytes);
      BOOST_TEST_INFO("rank " << rank << " of " << grid.text());
      BOOST_TEST(own >= whole / grid.ranks());
      BOOST_TEST(own <= 1.05 * (whole / grid.ranks() + halos));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_allocated_is_counted_by_its_use) {
  const Deck deck(layers, "memory");
  const AllocationCounter counter;
  Memory::Summary planned{};
  {
    const Memory network(deck, 2, Memory::Use::training);
    planned = network.summary();
    BOOST_TEST(counter.of(MemoryUse::activations).now == planned.temporary_bytes);
    BOOST_TEST(counter.of(MemoryUse::workspace).now == planned.workspace_bytes);
    BOOST_TEST(counter.of(MemoryUse::other).now >= 2 * planned.arena_bytes);
    {
      const AllocationCounter inner;
      const Buffer<char> more("more", 1000);
      BOOST_TEST(inner.all().now == 1000);
      BOOST_TEST(inner.of(MemoryUse::activations).peak == 0);
    }
  }
  BOOST_TEST(counter.all().now == 0);
  BOOST_TEST(counter.of(MemoryUse::activations).now == 0);
  BOOST_TEST(counter.of(MemoryUse::activations).peak == planned.temporary_bytes);
}

}  // namespace trireme::test
