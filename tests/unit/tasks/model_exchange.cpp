// Tasks that meet: the plan of meetings, the pairs of a tournament, and that averaging is the mathematics which its header says.
#include "tasks/model_exchange.hpp"

#include <algorithm>
#include <bit>
#include <boost/test/unit_test.hpp>
#include <optional>
#include <set>

#include "base/random.hpp"
#include "io/shard.hpp"
#include "support/temporary_directory.hpp"
#include "tasks/task_run.hpp"
#include "tasks/task_table.hpp"

// Not `using namespace`: trireme::log would then be in the way of CUDA's own headers, which nvcc includes behind this file.
namespace trireme::test {
namespace {

const std::string network_lines = R"(
[model]
input = 2x3x3
layer = conv name=c out=4 kernel=3 padding=1
layer = tanh
layer = flatten
layer = linear name=head out=3
)";

Deck deck_of(const std::string& more) { return Deck("[data]\ntrain = nowhere\n" + network_lines + more, "test"); }

constexpr int features = 18, batch = 4, steps = 12;

/// Row r of the whole data set: numbers in double, so that only sums round.
void make_rows(const std::filesystem::path& file, const std::vector<int>& rows) {
  ShardWriter::Options options;
  options.sample = Shape{2, 3, 3};
  options.feature_type = ElementType::f64;
  options.label_type = ElementType::u8;
  std::vector<double> values;
  std::vector<std::byte> labels;
  for (const int r : rows) {
    RandomStream random(7, static_cast<std::uint64_t>(r));
    for (int i = 0; i < features; ++i) values.push_back(random.normal());
    labels.push_back(static_cast<std::byte>(r % 3));
  }
  ShardWriter writer(file, static_cast<std::int64_t>(rows.size()), options);
  writer.append(std::as_bytes(std::span<const double>(values)), labels);
  writer.finish();
}

std::vector<double> parameters(Trainer<double>& trainer) {
  const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), trainer.network().value_arena());
  return {host.data(), host.data() + host.size()};
}

struct Cut {
  Communicator world = Communicator::world();
  int tasks, size, task;
  Communicator group, peers;
  explicit Cut(int count)
      : tasks(count),
        size(world.size() / count),
        task(world.rank() / size),
        group(world.split(task, world.rank())),
        peers(world.split(world.rank() % size, task)) {}
};

std::string run_text(const std::filesystem::path& output, const std::filesystem::path& data, int samples, const std::string& more) {
  return "[run]\noutput = " + output.string() + "\n[data]\ntrain = " + data.string() + "\nbatch = " + std::to_string(samples) + "\n" + network_lines + more;
}

const std::string plain = "[optimizer]\nlr = 0.1\n[train]\nprecision = fp64\nepochs = 2\n";

}  // namespace

BOOST_AUTO_TEST_CASE(meetings) {
  const ExchangePlan local(deck_of("[task]\nmode = average\nevery = 8\nstart = 3\n"));
  std::vector<int> met;
  for (int s = 0; s <= 30; ++s)
    if (local.meets(s, 30)) met.push_back(s);
  BOOST_TEST(met == (std::vector<int>{1, 2, 3, 11, 19, 27, 30}), boost::test_tools::per_element());
  const ExchangePlan tournament(deck_of("[task]\nmode = tournament\nevery = 8\nstart = 3\n"));
  met.clear();
  for (int s = 0; s <= 30; ++s)
    if (tournament.meets(s, 30)) met.push_back(s);
  BOOST_TEST(met == (std::vector<int>{11, 19, 27}), boost::test_tools::per_element());
  for (const ExchangePlan* plan : {&local, &tournament}) {
    int rounds = 0, last = 0;
    for (int s = 0; s <= 100; ++s) {
      if (plan->meets(s, 1000)) ++rounds, last = s;
      BOOST_TEST(plan->rounds(s) == rounds);
      BOOST_TEST(plan->last_before(s) == last);
    }
  }
}

BOOST_AUTO_TEST_CASE(pairs) {
  for (const int tasks : {1, 2, 3, 6, 7}) {
    std::set<std::vector<int>> drawn;
    for (int round = 0; round < 40; ++round) {
      const auto partner = tournament_pairs(5, round, tasks);
      BOOST_TEST(partner == tournament_pairs(5, round, tasks), boost::test_tools::per_element());
      int alone = 0;
      for (int k = 0; k < tasks; ++k) {
        BOOST_TEST(partner[static_cast<std::size_t>(partner[static_cast<std::size_t>(k)])] == k);
        alone += partner[static_cast<std::size_t>(k)] == k ? 1 : 0;
      }
      BOOST_TEST(alone == tasks % 2);
      drawn.insert(partner);
    }
    BOOST_TEST(drawn.size() >= (tasks < 3 ? 1u : tasks == 3 ? 3u : 12u));
  }
}

BOOST_AUTO_TEST_CASE(the_mean_has_the_same_bits_on_all_ranks_and_in_any_pieces) {
  const Communicator world = Communicator::world();
  const auto value = [](int rank, std::size_t i) { return static_cast<float>(RandomStream(3, 1000 * i + static_cast<std::size_t>(rank)).normal()); };
  std::vector<double> weights;
  for (int k = 0; k < world.size(); ++k) weights.push_back(0.1 + k);
  std::vector<float> expected;
  for (const std::size_t n : {0u, 1u, 3u, 64u, 1001u})
    for (const std::int64_t piece : {1, 7, 64, 4096}) {
      std::vector<float> values(n);
      for (std::size_t i = 0; i < n; ++i) values[i] = value(world.rank(), i);
      WeightedMean<float> mean(world, piece);
      mean(values, weights);
      for (std::size_t i = 0; i < n; ++i) {
        double sum = 0;
        for (int k = 0; k < world.size(); ++k) sum += weights[static_cast<std::size_t>(k)] * static_cast<double>(value(k, i));
        // This file may be compiled with fused multiplications: a sum at the middle between two floats then goes to the other one.
        BOOST_REQUIRE(std::abs(static_cast<double>(values[i]) - sum) <= 6.1e-8 * std::abs(sum));
      }
      if (piece == 1)
        expected = values;
      else
        BOOST_REQUIRE(
            std::ranges::equal(values, expected, [](float a, float b) { return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b); }));
      std::string bytes(reinterpret_cast<const char*>(values.data()), n * sizeof(float));
      BOOST_REQUIRE(world.broadcast(bytes) == bytes);
    }
}

// Two tasks with the halves of the data, averaged after every step of plain SGD, are one run with the doubled batch. Halves of unequal size: the last batch
// of an epoch has 4 rows in task 0 and 3 in task 1, so that the weights matter.
BOOST_AUTO_TEST_CASE(every_step_is_one_run_with_the_doubled_batch) {
  const TemporaryDirectory folder;
  Cut cut(2);
  const int rows[2] = {batch * 6, batch * 6 - 1};
  if (cut.world.rank() == 0) {
    std::vector<int> halves[2], together;
    for (int b = 0; b < 6; ++b)
      for (int k = 0; k < 2; ++k)
        for (int i = 0; i < std::min(batch, rows[k] - b * batch); ++i) {
          halves[k].push_back(1000 * k + b * batch + i);
          together.push_back(halves[k].back());
        }
    make_rows(folder / "half0.h5", halves[0]);
    make_rows(folder / "half1.h5", halves[1]);
    make_rows(folder / "all.h5", together);
  }
  cut.world.barrier();
  const std::string more = plain + "[task]\nmode = average\nevery = 1\n";
  const Deck whole(run_text(folder / "whole", folder / "all.h5", 2 * batch, plain), "test", {"data.shuffle=false"});
  Trainer<double> reference(whole, cut.world);
  reference.run();
  const auto expected = parameters(reference);

  const std::string name = std::to_string(cut.task);
  const Deck deck(run_text(folder / ("task" + name), folder / ("half" + name + ".h5"), batch, more), "test", {"data.shuffle=false"});
  ModelExchange<double> exchange(deck, cut.peers);
  Trainer<double> task(deck, cut.group, &exchange);
  task.run();
  BOOST_TEST(exchange.exchanges() == steps);
  const auto found = parameters(task);
  double largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) largest = std::max(largest, std::abs(found[i] - expected[i]));
  BOOST_TEST(largest < 1e-13);
  BOOST_TEST(cut.world.all_reduce(parameters_sha256(task.network()) == cut.world.broadcast(parameters_sha256(task.network())) ? 1 : 0, MPI_MIN) == 1);

  // Without the exchanges they are others.
  const Deck lonely(run_text(folder / ("alone" + name), folder / ("half" + name + ".h5"), batch, plain), "test", {"data.shuffle=false"});
  Trainer<double> alone(lonely, cut.group);
  alone.run();
  double difference = 0;
  const auto apart = parameters(alone);
  for (std::size_t i = 0; i < expected.size(); ++i) difference = std::max(difference, std::abs(apart[i] - expected[i]));
  BOOST_TEST(difference > 1e-4);
}

// Stopped after `at` steps by the deck: where the tasks go on from is what a signal would have left.
BOOST_AUTO_TEST_CASE(a_restart_continues_bit_for_bit) {
  const TemporaryDirectory folder;
  Cut cut(2);
  if (cut.world.rank() == 0) {
    std::vector<int> rows(batch * 6);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int>(i);
    make_rows(folder / "all.h5", rows);
    make_rows(folder / "held.h5", {1001, 1002, 1003, 1004, 1005, 1006, 1007});
  }
  cut.world.barrier();
  const std::string momentum = "[optimizer]\nlr = 0.05\nmomentum = 0.9\n[train]\nprecision = fp64\nepochs = 2\nema = 0.9\n[checkpoint]\nevery = 1\n";
  for (const std::string mode : {"average", "tournament"}) {
    const std::string more = momentum + "[task]\nmode = " + mode + "\nevery = 4\nstart = 2\nheld_out = " + (folder / "held.h5").string() + "\n";
    const auto train = [&](const std::string& name, const std::vector<std::string>& overrides) {
      auto all = overrides;
      all.push_back((mode == "average" ? "run.stream=" : "run.seed=") + std::to_string(cut.task + 3));
      const Deck deck(run_text(folder / (mode + name + std::to_string(cut.task)), folder / "all.h5", batch, more), "test", all);
      ModelExchange<double> exchange(deck, cut.peers);
      Trainer<double> trainer(deck, cut.group, &exchange);
      trainer.run();
      return parameters_sha256(trainer.network());
    };
    const std::string whole = train("whole", {});
    // A run that the deck ends meets once more at its end in average, which a run that goes on does not: so the first part is stopped instead.
    struct Stopping : StepHook<double> {
      ModelExchange<double>& inner;
      std::int64_t at;
      Stopping(ModelExchange<double>& exchange, std::int64_t step) : inner(exchange), at(step) {}
      void begin(Trainer<double>& t) override { inner.begin(t); }
      bool before_step(Trainer<double>& t) override { return t.progress().step < at && inner.before_step(t); }
      void after_step(Trainer<double>& t) override { inner.after_step(t); }
      void end(Trainer<double>& t, bool stopped) override { inner.end(t, stopped); }
      void release() noexcept override { inner.release(); }
    };
    // Task 1 is told to stop; task 0 hears of it where they would have met.
    for (const int at : {1, 5, 8, 11}) {
      const std::string name = "parts" + std::to_string(at);
      {
        const Deck deck(run_text(folder / (mode + name + std::to_string(cut.task)), folder / "all.h5", batch, more), "test",
                        {(mode == "average" ? "run.stream=" : "run.seed=") + std::to_string(cut.task + 3)});
        ModelExchange<double> exchange(deck, cut.peers);
        Stopping hook(exchange, cut.task == 1 ? at : 1000);
        Trainer<double> trainer(deck, cut.group, &hook);
        // Where no meeting is left nobody hears: task 0 of a tournament trains to its end.
        const bool heard = cut.task == 1 || mode == "average" || at < 10;
        BOOST_TEST((trainer.run() == (heard ? ExitCode::requeue : ExitCode::done)));
      }
      BOOST_TEST(train(name, {}) == whole);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_table_of_tasks) {
  const auto texts = [](const std::string& keys, const std::string& table = "", int fallback = 2) {
    std::vector<std::string> found;
    for (const Task& task : task_table(deck_of("[task]\n" + keys), table, fallback)) found.push_back(task.text());
    return found;
  };
  using List = std::vector<std::string>;
  BOOST_TEST(texts("mode = independent\nsweep = run.seed: 1..3; optimizer.lr: 0.1, 1/20") ==
                 (List{"run.seed=1 optimizer.lr=0.1", "run.seed=1 optimizer.lr=1/20", "run.seed=2 optimizer.lr=0.1", "run.seed=2 optimizer.lr=1/20",
                       "run.seed=3 optimizer.lr=0.1", "run.seed=3 optimizer.lr=1/20"}),
             boost::test_tools::per_element());
  BOOST_TEST(texts("mode = independent\ntable = t", "\xEF\xBB\xBFoptimizer.lr, data.mean\r\n# said once\n0.1,\"0.1, 0.2\"\r\n\n,0.3\n") ==
                 (List{"optimizer.lr=0.1 data.mean=0.1, 0.2", "data.mean=0.3"}),
             boost::test_tools::per_element());
  BOOST_TEST(texts("mode = average") == (List{"run.stream=0", "run.stream=1"}), boost::test_tools::per_element());
  BOOST_TEST(texts("mode = tournament\nsweep = optimizer.lr: 1, 2") == (List{"optimizer.lr=1 run.seed=1", "optimizer.lr=2 run.seed=2"}),
             boost::test_tools::per_element());
  const auto refused = [&](const std::string& keys, const std::string& table, const std::string& said) {
    BOOST_CHECK_EXCEPTION(texts(keys, table), Error, [&](const Error& error) {
      BOOST_TEST_MESSAGE(error.what());
      return error.code() == ExitCode::usage && std::string(error.what()).find(said) != std::string::npos;
    });
  };
  refused("mode = independent\nsweep = optimzer.lr: 1", "", "did you mean 'optimizer.lr'");
  refused("mode = independent\nsweep = run.output: a", "", "applies to the whole job");
  refused("mode = independent\nsweep = run.seed 1", "", "no ':'");
  refused("mode = independent\nsweep = run.seed:", "", "no value");
  refused("mode = independent\nsweep = run.seed: 3..1", "", "the range 3..1 is empty");
  refused("mode = independent\nsweep = run.seed: 1; run.seed: 2", "", "given twice");
  refused("mode = independent\nsweep = run.seed: 1\ntable = t", "run.seed\n1\n", "keep one");
  refused("mode = independent\ntable = t", "run.seed,optimizer.lr\n1\n", "line 2: found 1 field(s), expected 2");
  refused("mode = independent\ntable = t", "run.seed\n\"1\n", "not closed");
  refused("mode = independent\ntable = t", "run.seed\n", "has no tasks");
  refused("mode = average\nsweep = run.seed: 1, 2", "", "run.stream");
}

BOOST_AUTO_TEST_CASE(groups) {
  BOOST_TEST(group_count(8, 0, 4, false) == 4);
  BOOST_TEST(group_count(8, 0, 3, false) == 2);
  BOOST_TEST(group_count(7, 0, 3, false) == 1);
  BOOST_TEST(group_count(6, 0, 100, false) == 6);
  BOOST_TEST(group_count(6, 3, 100, false) == 3);
  BOOST_TEST(group_count(6, 0, 3, true) == 3);
  BOOST_CHECK_THROW(group_count(6, 4, 4, false), Error);
  BOOST_CHECK_THROW(group_count(6, 0, 4, true), Error);
}

}  // namespace trireme::test
