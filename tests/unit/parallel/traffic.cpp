// Messages of a training pass along each axis, counted at MPI, compared with theory and with the plan. On two ranks.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cmath>
#include <thread>

#include "base/timer.hpp"
#include "network/network.hpp"
#include "parallel/reduction_group_sums.hpp"
#include "reduction/communication_report.hpp"
#include "support/counted_mpi.hpp"

namespace trireme::test {
namespace {

constexpr std::int64_t samples = 3, number = sizeof(double);

struct Told {
  double messages = 0, bytes = 0;
};

/// One forward and one backward pass on a grid: the calls of MPI on communicators of that axis, and the plan.
struct Counted {
  Counted(const std::string& layers, const GridShape& shape, const std::string& axis, const std::vector<std::string>& calls)
      : deck("[parallel]\nmicro_batches = 1\n[model]\n" + layers, "counted"),
        world(Communicator::world()),
        grid(world, shape),
        network(deck, samples, Network<double>::Use::training, grid) {
    network.initialize(1);
    fill(network.input(), 1), fill(network.output_gradient(), 2);
    network.zero_gradients(Execution());
    Kokkos::fence("trireme::test");
    ReductionGroupSums sums(grid);
    const Execution exec;
    const Pass pass{.exec = exec, .samples = samples, .training = true, .all_reduce = sums.function()};
    CountedMpi counted;
    const Timer timer;
    grid.meters().begin_step();
    network.forward(pass);
    network.backward(pass, [](std::int64_t) {});
    grid.meters().end_step();
    const double elapsed = timer.seconds();
    const auto found = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), network.gradients());
    gradients.assign(found.data(), found.data() + found.size());
    for (const std::string& call : calls) {
      calls_made += counted.of(axis, call).calls;
      bytes += counted.of(axis, call).bytes;
    }
    // No other messages.
    for (const auto& [what, count] : counted.all())
      BOOST_TEST((count.calls == 0 || (what.first == axis && std::ranges::find(calls, what.second) != calls.end()) || what.second == "Irecv"),
                 what.second << " on " << what.first);
    for (const auto& line : network.traffic()) {
      BOOST_TEST(line.traffic.axis == axis);
      told.messages += static_cast<double>(line.traffic.messages);
      told.bytes += static_cast<double>(line.traffic.elements * samples * number);
    }
    // The run's own counters equal the plan on each axis; no wait is longer than the run.
    double waited = 0;
    for (const auto& [name, meter] :
         {std::pair("data", &grid.meters().data), std::pair("pipeline", &grid.meters().pipeline), std::pair("spatial", &grid.meters().spatial),
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

  /// Numbers that differ from each other, the same in each call.
  static void fill(Span<double> to, double seed) {
    const auto host = Kokkos::create_mirror_view(to);
    for (std::size_t i = 0; i < host.size(); ++i) host(i) = std::sin(seed + 0.7 * static_cast<double>(i));
    Kokkos::deep_copy(to, host);
  }

  std::vector<double> gradients;
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

// A pair of linear layers all-reduces its outputs in forward (7) and the gradient of its inputs in backward (12), and nothing in between. An all-reduce over
// two ranks sends 2 (p - 1)/p = 1 times its elements.
BOOST_AUTO_TEST_CASE(tensor_pair) {
  check(Counted("input = 5\nlayer = linear out=12 tensor=whole\nlayer = tanh\nlayer = linear out=10\nlayer = tanh\nlayer = linear out=7\nlayer = linear out=2 "
                "tensor=whole",
                {.tensor = 2}, "tensor", {"Iallreduce"}),
        2, 7 + 12);
}

// If the input of the first layer needs no gradient, only forward.
BOOST_AUTO_TEST_CASE(tensor_pair_at_the_input) {
  check(Counted("input = 5\nlayer = linear out=10\nlayer = relu\nlayer = linear out=7", {.tensor = 2}, "tensor", {"Iallreduce"}), 1, 7);
}

// A whole layer after a split one: forward gathers the channels, so each rank sends its own; backward copies each rank's channels.
BOOST_AUTO_TEST_CASE(tensor_gather) {
  check(Counted("input = 5\nlayer = linear out=10 tensor=column\nlayer = linear out=4 tensor=whole", {.tensor = 2}, "tensor", {"Allgatherv"}), 1, 5);
}

// Rows of 6 pixels and 4 channels: a kernel of 5 needs two rows of the neighbor; backward returns their gradients. The input's halo is read, not sent, and
// needs no gradient. Messages contain half of the samples and overlap with the computation of the other half.
BOOST_AUTO_TEST_CASE(spatial_halos) {
  const std::string head = "layer = conv out=4 kernel=3 padding=1\nlayer = relu\n";
  const std::vector<std::string> sends{"Isend"};
  check(Counted("input = 2x8x6\n" + head, {.spatial = {1, 2, 1}}, "spatial", sends), 0, 0);
  check(Counted("input = 2x8x6\n" + head + "layer = conv out=3 kernel=5 padding=2\n", {.spatial = {1, 2, 1}}, "spatial", sends), 4, 2 * (2 * 4 * 6));
  // Pooling whose windows end at the borders between ranks needs no halo; elementwise layers neither.
  check(Counted("input = 2x8x6\n" + head + "layer = max_pool kernel=2\nlayer = tanh\n", {.spatial = {1, 2, 1}}, "spatial", sends), 0, 0);
  // Windows that overlap by one row need one: the first row of the second rank.
  check(Counted("input = 2x8x6\n" + head + "layer = max_pool kernel=3 stride=2 padding=1\n", {.spatial = {1, 2, 1}}, "spatial", sends), 2, 4 * 6);
}

// The mean of each channel is all-reduced forward, and its gradient backward.
BOOST_AUTO_TEST_CASE(spatial_global_mean) {
  check(Counted("input = 2x8x6\nlayer = conv out=4 kernel=1\nlayer = global_avg_pool\n", {.spatial = {1, 2, 1}}, "spatial", {"Iallreduce"}), 2, 4 + 4);
}

// The value at the border is sent forward, its gradient backward. A skip connection crosses the border, too; the network's input crosses without a gradient.
BOOST_AUTO_TEST_CASE(pipeline_borders) {
  const bool first = Communicator::world().rank() == 0;
  check(Counted("input = 5\nlayer = linear name=a out=12\nlayer = tanh stage=1\nlayer = linear out=3", {.pipeline = 2}, "pipeline", {"Isend"}), 1, 12);
  check(Counted("input = 5\nlayer = linear name=a out=12\nlayer = linear name=b out=12\nlayer = add from=a,b stage=1\nlayer = linear out=3", {.pipeline = 2},
                "pipeline", {"Isend"}),
        2, 2 * 12);
  check(Counted("input = 5\nlayer = linear name=a out=12\nlayer = concat from=input,a stage=1\nlayer = linear out=3", {.pipeline = 2}, "pipeline", {"Isend"}),
        first ? 2 : 1, first ? 5 + 12 : 12);
}

// A recomputed layer sends the messages of its forward pass again, and the plan counts them.
BOOST_AUTO_TEST_CASE(recomputed_layers_send_again) {
  const auto more = [](const std::string& layers, const GridShape& shape, const std::string& axis, const std::vector<std::string>& calls) {
    const Counted plain(layers, shape, axis, calls), again(layers + "\n[train]\nrecompute = 3\n", shape, axis, calls);
    BOOST_TEST(again.network.recomputed().segments > 1u);
    BOOST_TEST((again.gradients == plain.gradients));
    BOOST_TEST(std::ranges::any_of(plain.gradients, [](double g) { return g != 0; }));
    BOOST_TEST(static_cast<double>(again.calls_made) == again.told.messages);
    BOOST_TEST(static_cast<double>(again.bytes) == again.told.bytes);
    return again.calls_made - plain.calls_made;
  };
  std::string pairs = "input = 5\n", windows = "input = 2x8x6\n";
  for (int i = 0; i < 4; ++i) {
    pairs += "layer = linear out=12\nlayer = tanh\nlayer = linear out=6\nlayer = tanh\n";
    windows += "layer = conv out=4 kernel=3 padding=1\nlayer = tanh\n";
  }
  // Each pair of layers sums once forward; the last segment does not run again.
  const std::int64_t sums = more(pairs, {.tensor = 2}, "tensor", {"Iallreduce"});
  BOOST_TEST(sums > 0);
  BOOST_TEST(sums < 4);
  // Three convolutions have a halo that is sent, in two messages each.
  const std::int64_t halos = more(windows, {.spatial = {1, 2, 1}}, "spatial", {"Isend"});
  BOOST_TEST(halos > 0);
  BOOST_TEST(halos < 6);
}

// A slow stage causes waits on the other rank and none of its own. (A rank without a core waits less: of five steps the best one counts.)
BOOST_AUTO_TEST_CASE(a_slow_stage_is_the_others_wait) {
  constexpr double pause = 0.03;
  const Communicator world = Communicator::world();
  const ProcessGrid grid(world, {.pipeline = 2});
  Network<double> network(Deck("[parallel]\nmicro_batches = 1\n[model]\ninput = 5\nlayer = linear out=12\nlayer = tanh stage=1\nlayer = linear out=3", "slow"),
                          samples, Network<double>::Use::training, grid);
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
