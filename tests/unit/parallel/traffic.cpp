// What a training pass sends along each axis, counted at MPI, against what theory says and what the plan tells. On two ranks.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/timer.hpp"
#include "network/network.hpp"
#include "optim/communication_report.hpp"
#include "parallel/sharer_sums.hpp"
#include "support/counted_mpi.hpp"

namespace trireme::test {
namespace {

constexpr std::int64_t samples = 3, number = sizeof(double);

struct Told {
  double messages = 0, bytes = 0;
};

/// One forward and one backward pass on a grid; what MPI was given on communicators of that axis; what the plan says of it.
struct Counted {
  Counted(const std::string& layers, const GridShape& shape, const std::string& axis, const std::vector<std::string>& calls)
      : deck("[parallel]\nmicro_batches = 1\n[model]\n" + layers, "counted"), world(Communicator::world()), grid(world, shape),
        network(deck, samples, Network<double>::Use::training, grid) {
    network.initialize(1);
    SharerSums sums(grid);
    const Execution exec;
    const Pass pass{.exec = exec, .samples = samples, .training = true, .sum_over = sums.function()};
    CountedMpi counted;
    const Timer timer;
    grid.meters().begin_step();
    network.forward(pass);
    network.backward(pass, [](std::int64_t) {});
    grid.meters().end_step();
    const double elapsed = timer.seconds();
    for (const std::string& call : calls) {
      calls_made += counted.of(axis, call).calls;
      bytes += counted.of(axis, call).bytes;
    }
    // Nothing else travels.
    for (const auto& [what, count] : counted.all())
      BOOST_TEST((count.calls == 0 || (what.first == axis && std::ranges::find(calls, what.second) != calls.end()) || what.second == "Irecv"),
                 what.second << " on " << what.first);
    for (const auto& line : network.traffic()) {
      BOOST_TEST(line.traffic.axis == axis);
      told.messages += static_cast<double>(line.traffic.messages);
      told.bytes += static_cast<double>(line.traffic.elements * samples * number);
    }
    // The run's own count is the plan's, axis by axis; nobody waits longer than it runs.
    double waited = 0;
    for (const auto& [name, meter] : {std::pair("data", &grid.meters().data), std::pair("pipeline", &grid.meters().pipeline), std::pair("spatial", &grid.meters().spatial),
                                      std::pair("tensor", &grid.meters().tensor), std::pair("reduction", &grid.meters().reduction), std::pair("model", &grid.meters().model)}) {
      BOOST_TEST(meter->total().messages == (name == axis ? told.messages : 0.0), name);
      BOOST_TEST(meter->total().bytes == (name == axis ? told.bytes : 0.0), name);
      BOOST_TEST(meter->total().waited >= 0);
      BOOST_TEST(meter->total().under_way >= 0);
      BOOST_TEST(meter->total().under_way <= elapsed);
      waited += meter->total().waited;
    }
    BOOST_TEST(waited <= elapsed);
  }

  Deck deck;
  Communicator world;
  ProcessGrid grid;
  Network<double> network;
  std::int64_t calls_made = 0, bytes = 0;
  Told told;
};

void check(const Counted& found, std::int64_t calls, std::int64_t elements) {
  BOOST_TEST(found.calls_made == calls);
  BOOST_TEST(found.bytes == elements * samples * number);
  BOOST_TEST(found.told.messages == static_cast<double>(calls));
  BOOST_TEST(found.told.bytes == static_cast<double>(elements * samples * number));
}

}  // namespace

// A pair of linear layers sums its outputs forward (7) and the gradient of its inputs backward (12), nothing between; of two ranks a sum sends
// 2 (p - 1)/p = 1 times its numbers.
BOOST_AUTO_TEST_CASE(tensor_pair) {
  check(Counted("input = 5\nlayer = linear out=12 tensor=whole\nlayer = tanh\nlayer = linear out=10\nlayer = tanh\nlayer = linear out=7\nlayer = linear out=2 tensor=whole",
                {.tensor = 2}, "tensor", {"Iallreduce"}),
        2, 7 + 12);
}

// Where the first layer's input needs no gradient, forward alone.
BOOST_AUTO_TEST_CASE(tensor_pair_at_the_input) {
  check(Counted("input = 5\nlayer = linear out=10\nlayer = relu\nlayer = linear out=7", {.tensor = 2}, "tensor", {"Iallreduce"}), 1, 7);
}

// A whole layer behind a cut one: the shares are gathered forward, each rank sends its own; backward each takes its part of what it has.
BOOST_AUTO_TEST_CASE(tensor_gather) {
  check(Counted("input = 5\nlayer = linear out=10 tensor=column\nlayer = linear out=4 tensor=whole", {.tensor = 2}, "tensor", {"Allgatherv"}), 1, 5);
}

// Rows of 6 pixels and 4 channels: a kernel of 5 needs two of the neighbour; backward their gradients go back. The input's halo is read, not sent, and
// needs no gradient. Messages are of half the samples, so that they travel beside the other half.
BOOST_AUTO_TEST_CASE(spatial_halos) {
  const std::string head = "layer = conv out=4 kernel=3 padding=1\nlayer = relu\n";
  const std::vector<std::string> sends{"Isend"};
  check(Counted("input = 2x8x6\n" + head, {.spatial = {1, 2, 1}}, "spatial", sends), 0, 0);
  check(Counted("input = 2x8x6\n" + head + "layer = conv out=3 kernel=5 padding=2\n", {.spatial = {1, 2, 1}}, "spatial", sends), 4, 2 * (2 * 4 * 6));
  // Pools whose windows end where the ranks' rows do need nothing, elementwise layers neither.
  check(Counted("input = 2x8x6\n" + head + "layer = max_pool kernel=2\nlayer = tanh\n", {.spatial = {1, 2, 1}}, "spatial", sends), 0, 0);
  // Windows that overlap by a row need one: the second rank's first row.
  check(Counted("input = 2x8x6\n" + head + "layer = max_pool kernel=3 stride=2 padding=1\n", {.spatial = {1, 2, 1}}, "spatial", sends),
        2, 4 * 6);
}

// The mean of each channel is summed forward and its gradient backward.
BOOST_AUTO_TEST_CASE(spatial_global_mean) {
  check(Counted("input = 2x8x6\nlayer = conv out=4 kernel=1\nlayer = global_avg_pool\n", {.spatial = {1, 2, 1}}, "spatial", {"Iallreduce"}), 2, 4 + 4);
}

// What crosses the border travels forward, its gradient backward: a skip connection crosses beside it, the network's input without a gradient.
BOOST_AUTO_TEST_CASE(pipeline_borders) {
  const bool first = Communicator::world().rank() == 0;
  check(Counted("input = 5\nlayer = linear name=a out=12\nlayer = tanh stage=1\nlayer = linear out=3", {.pipeline = 2}, "pipeline", {"Isend"}), 1, 12);
  check(Counted("input = 5\nlayer = linear name=a out=12\nlayer = linear name=b out=12\nlayer = add from=a,b stage=1\nlayer = linear out=3", {.pipeline = 2}, "pipeline",
                {"Isend"}),
        2, 2 * 12);
  check(Counted("input = 5\nlayer = linear name=a out=12\nlayer = concat from=input,a stage=1\nlayer = linear out=3", {.pipeline = 2}, "pipeline", {"Isend"}), first ? 2 : 1,
        first ? 5 + 12 : 12);
}

// What a slow stage costs is the other's wait, and no wait of its own. (A rank that is not scheduled while it would wait waits less: of five steps one counts.)
BOOST_AUTO_TEST_CASE(a_slow_stage_is_the_others_wait) {
  constexpr double pause = 0.03;
  const Communicator world = Communicator::world();
  const ProcessGrid grid(world, {.pipeline = 2});
  Network<double> network(Deck("[parallel]\nmicro_batches = 1\n[model]\ninput = 5\nlayer = linear out=12\nlayer = tanh stage=1\nlayer = linear out=3", "slow"), samples,
                          Network<double>::Use::training, grid);
  network.initialize(1);
  const Pass pass{.exec = Execution(), .samples = samples, .training = true};
  double most = 0;
  for (int step = 0; step < 5; ++step) {
    world.barrier();
    const double before = grid.meters().pipeline.total().waited;
    grid.meters().begin_step();
    network.forward(pass);
    if (grid.place().last_stage()) std::this_thread::sleep_for(std::chrono::duration<double>(pause));
    network.backward(pass, [](std::int64_t) {});
    grid.meters().end_step();
    most = std::max(most, grid.meters().pipeline.total().waited - before);
  }
  CommunicationReport report;
  report.add_axes(grid, 2 * pause, 0.5);
  BOOST_REQUIRE(report.lines().size() == 1);
  const CommunicationLine& line = report.lines()[0];
  BOOST_TEST(line.axis == "pipeline");
  BOOST_TEST(line.messages == 1);
  BOOST_TEST(line.bytes == 12.0 * samples * number);
  if (grid.place().first_stage()) BOOST_TEST(most >= pause / 2);
  BOOST_TEST(line.waited_by_place_s[0] > line.waited_by_place_s[1]);
  BOOST_REQUIRE(report.bubble());
  BOOST_TEST(report.bubble()->theory == 0.5);
  BOOST_TEST(report.bubble()->by_stage[0] > report.bubble()->by_stage[1]);
  BOOST_TEST(report.bubble()->measured == (report.bubble()->by_stage[0] + report.bubble()->by_stage[1]) / 2, boost::test_tools::tolerance(1e-12));
}

}  // namespace trireme::test
