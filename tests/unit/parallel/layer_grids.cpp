// Passes of random networks with padding of all modes, products, slices, adaptive pooling and pixel shuffles (drawn.hpp): a grid of tensor and spatial ranks
// computes the outputs and gradients of one rank. strategies.cpp trains such networks on all axes.
//   TRIREME_CASES (160), TRIREME_SEED (20261126), TRIREME_CASE (one case alone, which is then shown)
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdlib>

#include "drawn.hpp"
#include "network/network.hpp"

namespace trireme::test {
namespace {

std::uint64_t setting(const char* name, std::uint64_t fallback) {
  const char* const text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

std::vector<double> to_host(Span<const double> from) {
  std::vector<double> to(from.size());
  const Kokkos::View<double*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>> view(to.data(), to.size());
  Kokkos::deep_copy(view, from);
  return to;
}

void to_device(const std::vector<double>& from, Span<double> to) {
  const Kokkos::View<const double*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>> view(from.data(), from.size());
  Kokkos::deep_copy(slice<double>(to, 0, static_cast<std::int64_t>(from.size())), view);
}

/// Some channels of a box of each sample of a whole channels-last array.
std::vector<double> part_of(const std::vector<double>& whole, std::int64_t samples, const Shape& shape, const Box& box, std::int64_t first,
                            std::int64_t count) {
  std::vector<double> part;
  const auto e = spatial_extents(shape);
  for (std::int64_t s = 0; s < samples; ++s)
    for (std::int64_t d = box.first[0]; d < box.end(0); ++d)
      for (std::int64_t h = box.first[1]; h < box.end(1); ++h)
        for (std::int64_t w = box.first[2]; w < box.end(2); ++w) {
          const auto from = whole.begin() + (((s * e[0] + d) * e[1] + h) * e[2] + w) * shape[0] + first;
          part.insert(part.end(), from, from + count);
        }
  return part;
}

Box whole_box(const Shape& shape) { return Box{{0, 0, 0}, spatial_extents(shape)}; }

/// The largest difference, relative to the largest number and 1.
double difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return 1e300;
  double off = 0, largest = 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(a[i]));
    off = std::max(off, std::isfinite(b[i]) ? std::abs(a[i] - b[i]) : 1e300);
  }
  return off / largest;
}

struct Result {
  std::vector<double> output, gradients;
};

Result run(Network<double>& network, Pass pass, const std::vector<double>& x, const std::vector<double>& dy) {
  network.initialize(5);
  network.zero_gradients(pass.exec);
  to_device(x, network.input());
  network.forward(pass);
  pass.exec.fence("test: outputs complete");
  Result result;
  result.output = to_host(slice<double>(network.output(), 0, static_cast<std::int64_t>(dy.size())));
  to_device(dy, network.output_gradient());
  network.backward(pass, [](std::int64_t) {});
  pass.exec.fence("test: gradients complete");
  result.gradients = to_host(network.gradients());
  return result;
}

}  // namespace

BOOST_AUTO_TEST_CASE(random_networks_on_grids_compute_what_one_rank_computes) {
  const Communicator world = Communicator::world();
  const std::uint64_t seed = setting("TRIREME_SEED", 20261126), cases = setting("TRIREME_CASES", 160), alone = setting("TRIREME_CASE", ~0ull);
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t k = 0; k < cases; ++k) numbers.push_back((k % 4 == 3 ? first_of_more_kinds_of_one_sample : first_of_more_kinds) + k);
  if (alone != ~0ull) numbers = {alone};
  double worst = 0;
  int ran = 0, wraps = 0, split_outputs = 0, tensors = 0;
  for (const std::uint64_t number : numbers) {
    const DrawnCase c = CaseMaker(seed, number).make();
    const std::string text = c.deck + c.parallel;
    const std::vector<std::string> one_pass{"parallel.pipeline=1", "parallel.data=1", "parallel.micro_batches=1", "train.precision=fp64"};
    const Deck deck(text, "random", one_pass);
    const std::int64_t ranks = deck.integer("parallel.tensor") * Shape::parse(deck.text("parallel.spatial"), "test").size();
    if (ranks > world.size() || ranks == 1) continue;
    ++ran;
    if (alone != ~0ull && world.rank() == 0) std::printf("%s\n", text.c_str()), std::fflush(stdout);
    const Communicator group = world.split(world.rank() < ranks ? 0 : 1, world.rank());
    if (world.rank() >= ranks) continue;
    const GridShape shape = grid_shape(deck, static_cast<int>(ranks));
    const ProcessGrid grid(group, shape);
    Draw draw(seed, number);
    const std::int64_t samples = draw.in(1, 4);
    using Net = Network<double>;
    Net one(deck, samples, Net::Use::training), many(deck, samples, Net::Use::training, grid);
    const auto normal = [&](std::int64_t count) {
      std::vector<double> values(static_cast<std::size_t>(count));
      for (double& v : values) v = draw.normal();
      return values;
    };
    const Shape in = one.input_shape(), out = one.output_shape();
    const auto x = normal(samples * in.size()), dy = normal(samples * out.size());
    Pass pass{.exec = Execution(), .samples = samples, .training = true, .seed = 3, .step = 2};
    const Result expected = run(one, pass, x, dy);

    const Box input_box = many.input_box().value_or(whole_box(in)), output_box = many.output_box().value_or(whole_box(out));
    const ChannelCuts& cuts = many.output_cuts();
    const auto me = static_cast<std::size_t>(grid.place().tensor);
    const std::int64_t first = cuts.empty() ? 0 : cuts[me], count = cuts.empty() ? out[0] : cuts[me + 1] - first;
    pass.copies = shape.spatial_ranks();
    pass.all_reduce = [&](const Execution& exec, Span<double> values, ReductionGroup which) {
      exec.fence("test: values complete before MPI");
      if (which != ReductionGroup::data) grid.spatial().all_reduce(std::span<double>(values.data(), values.size()));
    };
    auto my_dy = part_of(dy, samples, out, output_box, first, count);
    if (!many.output_box())  // each rank of the spatial axis computes the loss of these outputs
      for (double& v : my_dy) v /= static_cast<double>(pass.copies);
    Result found = run(many, pass, part_of(x, samples, in, input_box, 0, in[0]), my_dy);
    grid.spatial().all_reduce(std::span<double>(found.gradients));

    const double outputs = difference(part_of(expected.output, samples, out, output_box, first, count), found.output);
    double gradients = 0;
    for (const Parameter& parameter : many.parameters()) {
      const auto same = std::ranges::find(one.parameters(), parameter.name, &Parameter::name);
      BOOST_REQUIRE((same != one.parameters().end()));
      std::vector<double> wanted(static_cast<std::size_t>(parameter.shape.size()));
      take_part(parameter.shape, parameter.slice, expected.gradients.data() + same->offset, wanted.data());
      const auto begin = found.gradients.begin() + parameter.offset;
      gradients = std::max(gradients, difference(wanted, std::vector<double>(begin, begin + parameter.shape.size())));
    }
    const std::string what = "case " + std::to_string(number) + " of seed " + std::to_string(seed) + ", rank " + std::to_string(group.rank()) + ":\n" + text;
    BOOST_TEST(outputs <= 1e-12, "outputs differ by " << outputs << " in " << what);
    BOOST_TEST(gradients <= 1e-12, "gradients differ by " << gradients << " in " << what);
    worst = std::max({worst, outputs, gradients});
    wraps += shape.spatial_ranks() > 1 && text.find("circular") != std::string::npos;
    split_outputs += many.output_box().has_value();
    tensors += shape.tensor > 1;
  }
  if (world.rank() == 0)
    std::printf("%d cases, %d with circular padding on split pixels, %d with split outputs, %d with a tensor axis; largest difference %.2g\n", ran, wraps,
                split_outputs, tensors, worst);
  if (world.rank() == 0 && cases >= 100 && alone == ~0ull && world.size() >= 8) BOOST_TEST((wraps > 10 && tensors > 10));
}

}  // namespace trireme::test
