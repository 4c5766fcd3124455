// The tiles of a device's convolution, run on threads of the host, against the definition.
#include "kokkos_kernels/detail/conv_gathered.hpp"

#include <barrier>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "operands.hpp"

using namespace trireme;
using namespace trireme::test;
using namespace trireme::detail;

namespace {

class HostMember {
 public:
  HostMember(std::int64_t league_rank, int team_rank, std::barrier<>& barrier) : league_rank_(league_rank), team_rank_(team_rank), barrier_(barrier) {}
  std::int64_t league_rank() const { return league_rank_; }
  int team_rank() const { return team_rank_; }
  void team_barrier() const { barrier_.arrive_and_wait(); }

 private:
  std::int64_t league_rank_;
  int team_rank_;
  std::barrier<>& barrier_;
};

template <class T, class Tile>
void run_teams(const Tile& tile, std::int64_t teams) {
  struct alignas(64) Shared {
    T values[Tile::shared_elements];
  };
  const auto shared = std::make_unique<Shared>();
  std::barrier<> barrier(Tile::threads);
  std::vector<std::jthread> threads;
  for (int t = 0; t < Tile::threads; ++t)
    threads.emplace_back([&, t] {
      for (std::int64_t team = 0; team < teams; ++team) {
        tile.run(HostMember(team, t, barrier), shared->values);
        barrier.arrive_and_wait();
      }
    });
}

ConvGeometry draw_geometry(RandomStream& random, int i) {
  ConvGeometry g;
  g.in_channels = i % 2 ? 4 * draw(random, 1, 5) : draw(random, 1, 9), g.out_channels = i % 3 ? draw(random, 1, 40) : 4 * draw(random, 1, 17);
  for (std::size_t a = random.below(3); a < 3; ++a) {
    g.kernel[a] = draw(random, 1, 3), g.stride[a] = draw(random, 1, 3), g.padding[a] = draw(random, 0, 2), g.dilation[a] = draw(random, 1, 2);
    g.in[a] = draw(random, g.dilation[a] * (g.kernel[a] - 1) + 1, 8);
    g.out[a] = conv_extent(g.in[a], g.kernel[a], g.stride[a], g.padding[a], g.dilation[a]);
  }
  return g;
}

// Vectors whose first element lies where a tile may read four at once.
template <class T>
struct Aligned {
  std::vector<T> memory;
  T* data;
  explicit Aligned(const std::vector<T>& values) : memory(values.size() + 64 / sizeof(T)) {
    const auto at = reinterpret_cast<std::uintptr_t>(memory.data());
    data = memory.data() + ((at + 63) / 64 * 64 - at) / sizeof(T);
    std::copy(values.begin(), values.end(), data);
  }
};

// Row `row` of the lowered matrix.
template <class T>
std::vector<T> gathered(const Lowering& l, std::int64_t row, const T* x) {
  std::vector<T> found;
  const std::int64_t sample = row / l.pixels(), place = row % l.pixels();
  for (std::int64_t tap = 0; tap < l.taps; ++tap) {
    const std::int64_t d = l.source(0, place / l.to[2] / l.to[1], tap / l.kernel[2] / l.kernel[1]),
                       h = l.source(1, place / l.to[2] % l.to[1], tap / l.kernel[2] % l.kernel[1]), w = l.source(2, place % l.to[2], tap % l.kernel[2]);
    for (std::int64_t c = 0; c < l.channels; ++c)
      found.push_back(d < 0 || h < 0 || w < 0 ? T{} : x[(((sample * l.from[0] + d) * l.from[1] + h) * l.from[2] + w) * l.channels + c]);
  }
  return found;
}

template <class T, int width, bool packs, bool rounds>
void check_product(const Lowering& l, std::int64_t n, std::int64_t outputs, ComputeType operands, RandomStream& random) {
  const std::int64_t rows = n * l.pixels(), sources = n * l.from[0] * l.from[1] * l.from[2] * l.channels;
  const Aligned<T> x(random_numbers<T>(random, sources)), y(std::vector<T>(static_cast<std::size_t>(rows * outputs), guard_value<T>()));
  const auto weights = random_numbers<T>(random, l.width() * outputs), bias = random_numbers<T>(random, outputs);
  const int across = static_cast<int>((outputs + width - 1) / width);
  const GatheredProduct<T, width, packs, rounds> tile{
      Gather(l), rows,  static_cast<int>(outputs), across, dropped_bits(operands), in_fours(y.data, outputs), x.data, weights.data(), bias.data(),
      T(0.5),    y.data};
  run_teams<T>(tile, (rows + tile.pixels - 1) / tile.pixels * across);
  std::vector<double> expected;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto taken = gathered(l, row, x.data);
    for (std::int64_t o = 0; o < outputs; ++o) {
      double z = static_cast<double>(bias[static_cast<std::size_t>(o)]);
      for (std::size_t k = 0; k < taken.size(); ++k)
        z += static_cast<double>(as_operand(taken[k], operands)) *
             static_cast<double>(as_operand(weights[k * static_cast<std::size_t>(outputs) + static_cast<std::size_t>(o)], operands));
      expected.push_back(z < 0 ? 0.5 * z : z);
    }
  }
  BOOST_TEST(distance(std::vector<T>(y.data, y.data + rows * outputs), expected, 1) <= rounding<T>);
}

template <class T, int height, bool packs, bool rounds>
void check_weights(const Lowering& l, std::int64_t n, std::int64_t outputs, ComputeType operands, RandomStream& random) {
  const std::int64_t rows = n * l.pixels(), sources = n * l.from[0] * l.from[1] * l.from[2] * l.channels, part_rows = 8 * draw(random, 1, 6);
  const std::int64_t parts = (rows + part_rows - 1) / part_rows, columns = l.width();
  const Aligned<T> x(random_numbers<T>(random, sources)), dy(random_numbers<T>(random, rows * outputs));
  std::vector<T> partial(static_cast<std::size_t>(parts * outputs * columns), guard_value<T>());
  const int down = static_cast<int>((outputs + height - 1) / height), across = static_cast<int>((columns + 63) / 64);
  const GatheredWeights<T, height, packs, rounds> tile{
      Gather(l), rows, part_rows, static_cast<int>(outputs), down, across, dropped_bits(operands), in_fours(dy.data, outputs), x.data, dy.data, partial.data()};
  run_teams<T>(tile, parts * down * across);
  std::vector<double> expected(partial.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto taken = gathered(l, row, x.data);
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t k = 0; k < columns; ++k)
        expected[static_cast<std::size_t>((row / part_rows * outputs + o) * columns + k)] +=
            static_cast<double>(as_operand(dy.data[row * outputs + o], operands)) *
            static_cast<double>(as_operand(taken[static_cast<std::size_t>(k)], operands));
  }
  BOOST_TEST(distance(partial, expected, 1) <= rounding<T>);
}

template <class T, bool packs, bool rounds>
void check(const ConvGeometry& g, int i, std::int64_t n, ComputeType operands, RandomStream& random) {
  const Lowering l = i % 4 < 2 ? Lowering::of_input(g) : Lowering::of_gradient(g), input = Lowering::of_input(g);
  const std::int64_t outputs = i % 4 < 2 ? g.out_channels : g.in_channels;
  const auto product = [&]<bool fours>(std::bool_constant<fours>) {
    if (i % 3 == 0) check_product<T, 16, fours, rounds>(l, n, outputs, operands, random);
    if (i % 3 == 1) check_product<T, 32, fours, rounds>(l, n, outputs, operands, random);
    if (i % 3 == 2) check_product<T, 64, fours, rounds>(l, n, outputs, operands, random);
  };
  const auto weights = [&]<bool fours>(std::bool_constant<fours>) {
    if (i % 3 == 0) check_weights<T, 16, fours, rounds>(input, n, g.out_channels, operands, random);
    if (i % 3 == 1) check_weights<T, 32, fours, rounds>(input, n, g.out_channels, operands, random);
    if (i % 3 == 2) check_weights<T, 64, fours, rounds>(input, n, g.out_channels, operands, random);
  };
  packs&& l.channels % 4 == 0 ? product(std::bool_constant<packs>()) : product(std::false_type());
  packs&& g.in_channels % 4 == 0 ? weights(std::bool_constant<packs>()) : weights(std::false_type());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(gathered_convolution)

BOOST_AUTO_TEST_CASE(tiles_equal_their_definition) {
  RandomStream random(test_seed(), 500);
  for (int i = 0; i < 36; ++i) {
    const ConvGeometry g = draw_geometry(random, i);
    BOOST_TEST_CONTEXT("seed " << test_seed() << " case " << i) {
      check<double, true, false>(g, i, draw(random, 1, 3), ComputeType::full, random);
      check<float, false, true>(g, i, 1, i % 2 ? ComputeType::full : ComputeType::tf32, random);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
