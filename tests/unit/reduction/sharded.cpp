// ZeRO stage 1, gradient compression (bf16) and hierarchical reduction: the same results as the plain all-reduce, and memory and messages as in the formulas.
#include <boost/test/unit_test.hpp>
#include <cstdlib>

#include "optim/sharded_state.hpp"
#include "reduction/gradient_reducer.hpp"
#include "support/counted_mpi.hpp"
#include "unit/config/support.hpp"
#include "unit/network/networks.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

const std::vector<std::string> layers = {"linear out=70", "relu", "linear out=33", "relu", "linear out=5"};

template <class T>
std::vector<std::int64_t> cuts(const Network<T>& network) {
  std::vector<std::int64_t> offsets;
  for (const Parameter& p : network.parameters()) offsets.push_back(p.offset);
  return offsets;
}

/// Gradients of step `step` on rank `rank`, 0 in the gaps.
template <class T>
std::vector<T> gradients_of(const Network<T>& network, int rank, std::int64_t step) {
  RandomStream random(test_seed(), static_cast<std::uint64_t>(1000 * step + rank));
  std::vector<T> arena(static_cast<std::size_t>(network.arena_size()));
  for (const Parameter& p : network.parameters())
    for (std::int64_t i = 0; i < p.shape.size(); ++i) arena[static_cast<std::size_t>(p.offset + i)] = static_cast<T>(random.uniform(-1, 1));
  return arena;
}

/// Trains `steps` steps on random gradients; returns the parameters and the whole states one after the other.
template <class T>
std::vector<T> train(const std::vector<std::string>& options, const ReduceOptions& reduce, int steps, std::int64_t expected_state = -1) {
  const Communicator world = Communicator::world();
  const Deck deck = deck_of(model("40", layers), options);
  Network<T> network(deck, 1, Network<T>::Use::training);
  network.initialize(1);
  ReduceOptions with = reduce;
  with.gradients = network.arena_size();
  GradientReducer<T> reducer(world, network.gradients_and_control(), cuts(network), with);
  Optimizer<T> optimizer(deck, network, reducer.shards(), {.shards = &world});
  if (expected_state >= 0)
    for (const auto& state : optimizer.states()) BOOST_TEST(static_cast<std::int64_t>(state.values.size()) == reducer.shards().size());
  const Execution exec;
  for (std::int64_t step = 0; step < steps; ++step) {
    network.zero_gradients(exec);
    write<T>(network.gradients(), gradients_of(network, world.rank(), step));
    write<T>(network.control(), std::vector<T>{static_cast<T>(world.rank() + 1)});
    for (auto p = network.parameters().rbegin(); p != network.parameters().rend(); ++p) reducer.ready(exec, p->offset);
    reducer.finish(exec);
    BOOST_TEST(read<T>(network.control(), 1)[0] == static_cast<T>(world.size() * (world.size() + 1) / 2));
    optimizer.update(exec, 0.05, step);
    reducer.begin_gather(exec, network.values());
    reducer.finish_gather(exec);
  }
  auto result = read<T>(network.values());
  const auto all = world.all_gather(std::span<const T>(result));
  for (int r = 0; r < world.size(); ++r)
    BOOST_TEST(same_bits(result, std::vector<T>(all.begin() + r * static_cast<std::ptrdiff_t>(result.size()),
                                                all.begin() + (r + 1) * static_cast<std::ptrdiff_t>(result.size()))),
               "rank " << r << " holds other parameters");
  for (const auto& state : optimizer.states()) {
    const auto kept = whole_state(world, optimizer, state.name);  // may be the state itself
    const HostArena<T> whole("test", kept.size());
    Kokkos::deep_copy(whole, kept);
    const auto before = read<T>(slice<T>(state.values, 0, static_cast<std::int64_t>(state.values.size())));
    Kokkos::deep_copy(state.values, T{7});
    const auto host = Kokkos::create_mirror_view(state.values);
    take_owned<T>(optimizer.shards(), 0, static_cast<std::int64_t>(whole.size()), whole.data(), host.data());
    Kokkos::deep_copy(state.values, host);
    BOOST_TEST(same_bits(before, read<T>(slice<T>(state.values, 0, static_cast<std::int64_t>(state.values.size())))), state.name << " does not come back");
    // The parts that ranks write form the whole, split at rows.
    const auto cuts = row_cuts(network, world.size());
    BOOST_TEST(std::ranges::is_sorted(cuts));
    BOOST_TEST_REQUIRE(cuts.back() == static_cast<std::int64_t>(whole.size()));
    for (const Parameter& parameter : network.parameters())
      for (const std::int64_t cut : cuts)
        if (cut > parameter.offset && cut < parameter.offset + parameter.shape.size())
          BOOST_TEST((cut - parameter.offset) % (parameter.shape.size() / parameter.shape[0]) == 0, "a cut inside a row of " << parameter.name);
    const auto begin = cuts[static_cast<std::size_t>(world.rank())], end = cuts[static_cast<std::size_t>(world.rank()) + 1];
    std::vector<T> between(static_cast<std::size_t>(end - begin));
    state_between<T>(world, optimizer, state.name, cuts, [&](std::int64_t first, std::int64_t count, const T* from) {
      BOOST_TEST_REQUIRE((first >= begin && first + count <= end));
      std::copy_n(from, count, between.data() + first - begin);
    });
    BOOST_TEST(same_bits(between, std::vector<T>(whole.data() + begin, whole.data() + end)));
    result.insert(result.end(), whole.data(), whole.data() + whole.size());
  }
  return result;
}

const std::vector<std::vector<std::string>> kinds = {
    {"optimizer.kind=sgd"},
    {"optimizer.momentum=0.9", "optimizer.weight_decay=0.01", "optimizer.nesterov=true"},
    {"optimizer.kind=adam"},
    {"optimizer.kind=adamw", "optimizer.weight_decay=0.1", "optimizer.decay_biases=false"},
    {"optimizer.kind=rmsprop", "optimizer.momentum=0.5", "optimizer.centered=true"},
    {"optimizer.kind=lars", "optimizer.momentum=0.9", "optimizer.weight_decay=0.01"},
    {"optimizer.kind=lamb", "optimizer.weight_decay=0.02"},
    {"optimizer.kind=adam", "optimizer.clip_norm=0.5"},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(sharded)

BOOST_AUTO_TEST_CASE(gives_what_the_all_reduce_gives) {
  const int ranks = Communicator::world().size();
  for (const auto& options : kinds) {
    BOOST_TEST_CONTEXT(options.front() << " and " << options.size() - 1 << " more") {
      const auto plain = train<double>(options, {.bucket_bytes = 4096}, 4), shared = train<double>(options, {.bucket_bytes = 4096, .shard = true}, 4, 1);
      BOOST_TEST(distance(shared, plain) <= 1e-12);
      // The sum over two ranks has only one order; without norms nothing else is reduced.
      const bool norms = options.front().find("la") != std::string::npos || options.back().find("clip") != std::string::npos;
      if (ranks <= 2 && !norms)
        BOOST_TEST(same_bits(train<float>(options, {.bucket_bytes = 4096}, 4), train<float>(options, {.bucket_bytes = 4096, .shard = true}, 4)));
    }
  }
}

// Of 16 ranks each owns a sixteenth of every bucket, within two alignments.
BOOST_AUTO_TEST_CASE(every_element_has_one_owner_and_shares_are_even) {
  RandomStream random(test_seed(), 77);
  for (int i = 0; i < 50; ++i) {
    const int ranks = 1 + static_cast<int>(random.below(16));
    std::vector<std::int64_t> bounds{0};
    for (std::int64_t b = draw(random, 1, 5); b > 0; --b) bounds.push_back(bounds.back() + 16 * draw(random, 0, 400));
    std::vector<int> owners(static_cast<std::size_t>(bounds.back()));
    for (int r = 0; r < ranks; ++r) {
      const ZeroPartition shards(bounds, ranks, r);
      std::int64_t at = 0;
      for (const auto& range : shards.owned()) {
        BOOST_TEST(range.at == at);
        at += range.last - range.first;
        for (std::int64_t e = range.first; e < range.last; ++e) ++owners[static_cast<std::size_t>(e)];
      }
      BOOST_TEST(shards.size() == at);
      const auto slack = 2 * ZeroPartition::alignment * static_cast<std::int64_t>(bounds.size() - 1);
      BOOST_TEST(std::abs(shards.size() - bounds.back() / ranks) <= slack);
    }
    BOOST_TEST(std::ranges::all_of(owners, [](int n) { return n == 1; }));
  }
}

BOOST_AUTO_TEST_CASE(hierarchical_sums_equal_the_all_reduce) {
  const auto plain = train<double>({"optimizer.momentum=0.9"}, {.bucket_bytes = 4096}, 3);
  for (const char* ranks : {"1", "2", "3"}) {
    ::setenv("TRIREME_RANKS_PER_NODE", ranks, 1);
    const auto nodes = train<double>({"optimizer.momentum=0.9"}, {.bucket_bytes = 4096, .algorithm = ReduceOptions::Algorithm::hierarchical}, 3);
    const auto chosen = train<double>({"optimizer.momentum=0.9"}, {.bucket_bytes = 4096, .algorithm = ReduceOptions::Algorithm::automatic}, 3);
    ::unsetenv("TRIREME_RANKS_PER_NODE");
    BOOST_TEST(distance(nodes, plain) <= 1e-12);
    BOOST_TEST(distance(chosen, plain) <= 1e-12);
  }
  ::setenv("TRIREME_RANKS_PER_NODE", "two", 1);
  check_refused([] { Communicator::world().split_by_node(); }, {"TRIREME_RANKS_PER_NODE", "two"});
  ::unsetenv("TRIREME_RANKS_PER_NODE");
}

// MPICH pairs ranks in the same way for every message size: measured buckets then change no bits.
BOOST_AUTO_TEST_CASE(bits_do_not_depend_on_buckets) {
  const auto many = train<float>({}, {.bucket_bytes = 64}, 2), one = train<float>({}, {.bucket_bytes = 1 << 20}, 2), measured = train<float>({}, {}, 2);
#ifdef MPICH_VERSION
  BOOST_TEST(same_bits(many, one));
  BOOST_TEST(same_bits(many, measured));
#else
  BOOST_TEST(distance(many, one) <= 1e-5);
  BOOST_TEST(distance(many, measured) <= 1e-5);
#endif
}

// The total of all distributed sums equals the total of all gradients, except for the rounding of the last step: errors do not accumulate.
BOOST_AUTO_TEST_CASE(error_feedback_loses_nothing_over_the_steps) {
  const Communicator world = Communicator::world();
  for (const bool shard : {false, true}) {
    const std::int64_t size = 5003;
    const int steps = 40;
    const Guarded<float> arena(size);
    GradientReducer<float> reducer(world, arena, {0, 1000, 1001, 4000}, {.bucket_bytes = 4096, .shard = shard, .bf16 = true});
    std::vector<double> exact(static_cast<std::size_t>(size)), found(exact.size());
    const Execution exec;
    for (int step = 0; step < steps; ++step) {
      for (int rank = 0; rank < world.size(); ++rank) {
        RandomStream random(test_seed(), static_cast<std::uint64_t>(step * 10 + rank));
        const auto mine = random_numbers<float>(random, size);
        for (std::size_t i = 0; i < mine.size(); ++i) exact[i] += mine[i] + 3;  // a bias that rounding alone would get wrong every time
        if (rank == world.rank()) {
          auto shifted = mine;
          for (float& x : shifted) x += 3;
          Kokkos::deep_copy(arena.span(), Guarded<float>(shifted).span());
        }
      }
      for (const std::int64_t cut : {4000, 1001, 1000, 0}) reducer.ready(exec, cut);
      reducer.finish(exec);
      const auto sums = arena.values();
      for (std::size_t i = 0; i < sums.size(); ++i) found[i] += sums[i];
      if (!shard) {
        const auto all = world.all_gather(std::span<const float>(sums));
        for (int r = 0; r < world.size(); ++r) BOOST_REQUIRE(same_bits(sums, std::vector<float>(all.begin() + r * size, all.begin() + (r + 1) * size)));
      }
    }
    BOOST_TEST(arena.guards_hold());
    // The accumulated rounding error accounts for the difference.
    const auto owed = reducer.whole_error(exec);
    BOOST_TEST(owed.size() == (world.size() > 1 ? exact.size() : 0u));
    for (const auto& range : reducer.shards().owned())
      for (std::int64_t i = range.first; i < range.last; ++i) {
        const auto at = static_cast<std::size_t>(i);
        BOOST_REQUIRE_SMALL(found[at] + (owed.empty() ? 0.0 : static_cast<double>(owed[at])) - exact[at], 1e-3);
      }
    // Giving the errors to their owners twice has the effect of once.
    BOOST_TEST(same_bits(owed, reducer.whole_error(exec)));
  }
}

BOOST_AUTO_TEST_CASE(messages_and_bytes_are_those_of_the_formulas) {
  const Communicator world = Communicator::world();
  const auto p = static_cast<std::int64_t>(world.size());
  if (p == 1) return;
  const std::int64_t gradients = 4000, control = 20, size = gradients + control;
  const std::vector<std::int64_t> at = {0, 1600, 3200};
  const Guarded<float> arena(std::vector<float>(static_cast<std::size_t>(size)));
  const Execution exec;
  for (const bool shard : {false, true})
    for (const bool bf16 : {false, true}) {
      GradientReducer<float> reducer(world, arena, at, {.bucket_bytes = 6000, .gradients = gradients, .shard = shard, .bf16 = bf16});
      const auto n = static_cast<std::int64_t>(reducer.buckets());
      const ZeroPartition shards({0, 1600, gradients}, world.size(), world.rank());
      BOOST_REQUIRE(n == (shard || bf16 ? 1 + 1 : 2));
      const CountedMpi counted;
      for (const std::int64_t cut : {3200, 1600, 0}) reducer.ready(exec, cut);
      reducer.finish(exec);
      reducer.begin_gather(exec, slice<float>(arena.span(), 0, gradients));
      reducer.finish_gather(exec);
      std::int64_t calls = 0;
      for (const auto& [what, count] : counted.all()) calls += count.calls;
      const auto is = [&](const char* name, const char* call, std::int64_t expected_calls, std::int64_t expected_bytes) {
        BOOST_TEST(counted.of(name, call).calls == expected_calls, name << " " << call << " of shard " << shard << " bf16 " << bf16);
        BOOST_TEST(counted.of(name, call).bytes == expected_bytes, name << " " << call << " of shard " << shard << " bf16 " << bf16);
        calls -= expected_calls;
      };
      if (!shard && !bf16) is("data: gradients", "Iallreduce", n, size * 4);
      if (shard && !bf16) is("data: gradients", "Ireduce_scatter", n, gradients * 4);
      if (bf16) is("data: gradients", "Ialltoallv", n, (gradients - shards.size()) * 2);
      if (bf16 && !shard) is("data: sums", "Iallgatherv", n, shards.size() * 2);
      if (shard) is("data: values", "Iallgatherv", n, shards.size() * 4);
      if (shard || bf16) is("data: control", "Iallreduce", 1, control * 4);
      BOOST_TEST(calls == 0, "other messages were sent");
      CommunicationReport report;
      reducer.report(report);
      BOOST_REQUIRE(report.lines().size() == (shard ? 2u : 1u));
      const double share = static_cast<double>(p - 1) / static_cast<double>(p), own = static_cast<double>(shards.size()), g = static_cast<double>(gradients),
                   c = static_cast<double>(control);
      const double expected = bf16    ? 2 * (g - own) + (shard ? 0 : 2 * static_cast<double>(p - 1) * own) + 8 * share * c
                              : shard ? 4 * share * g + 8 * share * c
                                      : 8 * share * (g + c);
      BOOST_TEST(std::abs(report.lines()[0].bytes - expected) < 1e-6);
    }
}

BOOST_AUTO_TEST_CASE(options_that_exclude_each_other_are_refused) {
  const auto options = [](const std::vector<std::string>& overrides) {
    return [=] { ReduceOptions::from(deck_of(model("3", {"linear out=2"}), overrides), {}, 10); };
  };
  check_refused(options({"optimizer.shard=true", "parallel.reduce=hierarchical"}), {"parallel.reduce", "optimizer.shard"});
  check_refused(options({"parallel.reduce_dtype=bf16", "parallel.reduce=hierarchical"}), {"parallel.reduce", "parallel.reduce_dtype"});
  check_refused(options({"parallel.reduce_dtype=bf16", "train.precision=fp64"}), {"parallel.reduce_dtype", "fp64"});
}

// Ranks like tensor-parallel ones: parameter 0 is split over them, 1 is on all, and each has one of its own.
BOOST_AUTO_TEST_CASE(norms_over_the_model_count_each_number_once) {
  const Communicator world = Communicator::world();
  const int p = world.size(), rank = world.rank();
  const std::int64_t n = 100;
  std::vector<double> numbers;
  for (int k = 0; k < 3; ++k)
    for (std::int64_t i = 0; i < n; ++i) numbers.push_back(k == 1 ? 2.0 : static_cast<double>(rank + k + 1));
  const Guarded<double> x(numbers);
  const std::vector<ParameterChunk> list = {{0, n, 0, true}, {n, 2 * n, 1, true}, {2 * n, 3 * n, 2, true}};
  const Buffer<ParameterChunk> runs("test", 3);
  const Buffer<std::int32_t> first("test", 4);
  const auto runs_host = Kokkos::create_mirror_view(runs);
  const auto first_host = Kokkos::create_mirror_view(first);
  for (std::size_t i = 0; i < 3; ++i) runs_host(i) = list[i];
  for (std::int32_t i = 0; i < 4; ++i) first_host(static_cast<std::size_t>(i)) = i;
  Kokkos::deep_copy(runs, runs_host);
  Kokkos::deep_copy(first, first_host);
  NormScope scope;
  scope.model = &world;
  scope.counts = {1, static_cast<std::uint8_t>(rank == p - 1), 1};
  scope.global_number = {1, 0, 2 + rank};
  scope.global_parameters = 2 + p;
  const Norms<double> norms({runs, first}, 3, scope);
  const Execution exec;
  const Guarded<double> result(1), squares(std::vector<double>{1, 10, 2, 20, 3, 30});
  norms.squared(exec, x, result);
  double split = 0, own = 0;
  for (int r = 0; r < p; ++r) split += static_cast<double>(n) * (r + 1) * (r + 1), own += static_cast<double>(n) * (r + 3) * (r + 3);
  BOOST_TEST(result.values()[0] == split + static_cast<double>(n) * 4 + own);
  for (int again = 0; again < 2; ++again) {  // no part of the previous sum is left
    const Guarded<double> sums(std::vector<double>{1, 10, 2, 20, 3, 30});
    norms.complete(exec, sums);
    BOOST_TEST((sums.values() == std::vector<double>{1.0 * p, 10.0 * p, 2, 20, 3, 30}));
  }
  scope.global_number = {1, 0, 2 + p};
  BOOST_CHECK_THROW(Norms<double>({runs, first}, 3, scope), Error);
}

BOOST_AUTO_TEST_SUITE_END()
