// batch_norm normalizes over the whole batch. Moments do not depend on threads and are exact far from 0; running moments are PyTorch's; with sync, shares of a
// batch on several ranks give the result of the whole batch.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "drawn_layers.hpp"
#include "support/reference.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

struct Found {
  std::vector<double> y, dx, dweight, dbias, mean, var;
};

template <class T>
Found run(LayerBench<T>& bench, const std::vector<T>& x, const std::vector<T>& dy, std::int64_t batch) {
  const auto result = bench.forward_backward({x}, dy);
  bench.update_buffers(batch);
  const auto wide = [](const std::vector<T>& v) { return std::vector<double>(v.begin(), v.end()); };
  return {wide(result.y), wide(result.dx[0]), wide(bench.gradient(0)), wide(bench.gradient(1)), wide(bench.buffer(0)), wide(bench.buffer(1))};
}

template <class T>
std::vector<T> part(const std::vector<T>& all, std::int64_t first, std::int64_t count) {
  return {all.begin() + first, all.begin() + first + count};
}

// An all-reduce over threads that stand for ranks: each adds its numbers in turn, then all read the total.
class ThreadSum {
 public:
  explicit ThreadSum(int ranks) : ranks_(ranks) {}
  void operator()(int rank, const Execution& exec, Span<double> values) {
    exec.fence("trireme::test");
    for (int turn = 0; turn < ranks_; ++turn) {
      if (turn == rank) {
        if (rank == 0) total_.assign(values.size(), 0);
        for (std::size_t i = 0; i < values.size(); ++i) total_[i] += values(i);
      }
      meet();
    }
    for (std::size_t i = 0; i < values.size(); ++i) values(i) = total_[i];
    meet();
  }

 private:
  void meet() {
    std::unique_lock lock(mutex_);
    const int round = round_;
    if (++here_ == ranks_)
      here_ = 0, ++round_, all_here_.notify_all();
    else
      all_here_.wait(lock, [&] { return round_ != round; });
  }
  int ranks_, here_ = 0, round_ = 0;
  std::vector<double> total_;
  std::mutex mutex_;
  std::condition_variable all_here_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(batch_norm)

BOOST_AUTO_TEST_CASE(a_smaller_batch_is_a_batch) {
  RandomStream random(test_seed(), 70);
  LayerBench<double> large("batch_norm", {Shape{19, 3, 40}}, 9), exact("batch_norm", {Shape{19, 3, 40}}, 2);
  large.pass().samples = 2;
  const auto x = random_numbers<double>(random, large.input_size(0)), dy = random_numbers<double>(random, large.input_size(0));
  const Found a = run(large, x, dy, 2), b = run(exact, x, dy, 2);
  BOOST_TEST((same_bits(a.y, b.y) && same_bits(a.dx, b.dx) && same_bits(a.mean, b.mean) && same_bits(a.var, b.var)));
}

BOOST_AUTO_TEST_CASE(an_empty_share_adds_no_batch_stats) {
  LayerBench<float> bench("batch_norm sync=true", {Shape{3, 2}}, 4);
  int calls = 0;
  bench.pass().samples = 0;
  bench.pass().all_reduce = [&](const Execution& exec, Span<double> sums, ReductionGroup) {
    exec.fence("trireme::test");
    if (sums.size() == 7) Kokkos::deep_copy(slice<double>(sums, 6, 1), 5.0);  // another rank has rows
    ++calls;
  };
  const Found found = run<float>(bench, {}, {}, 1);
  BOOST_TEST(calls == 2);
  BOOST_TEST(distance(found.mean, std::vector<double>{0, 0, 0}) == 0.0);
  BOOST_TEST(distance(found.var, std::vector<double>(3, static_cast<double>(0.9f)), 1) <= rounding<float>);
}

BOOST_AUTO_TEST_CASE(bits_do_not_depend_on_threads) {
  RandomStream random(test_seed(), 71);
  LayerBench<float> bench("batch_norm", {Shape{5, 40, 41}}, 7);
  const auto x = random_numbers<float>(random, bench.input_size(0)), dy = random_numbers<float>(random, bench.input_size(0));
  std::vector<Found> found;
  for (const Execution& exec : few_and_many_threads()) {
    bench.pass().exec = exec;
    for (std::size_t i : {0u, 1u}) bench.set_gradient(i, std::vector<float>(5));
    found.push_back(run(bench, x, dy, 7));
  }
  BOOST_TEST((same_bits(found.front().y, found.back().y) && same_bits(found.front().dx, found.back().dx)));
  BOOST_TEST((same_bits(found.front().dweight, found.back().dweight) && same_bits(found.front().dbias, found.back().dbias)));
}

// The mean is 1e4 standard deviations away from 0: with plain sums of squares the variance would have no correct digits.
BOOST_AUTO_TEST_CASE(variance_far_from_zero) {
  RandomStream random(test_seed(), 72);
  LayerBench<double> exact("batch_norm eps=0", {Shape{2, 60, 60}}, 3);
  LayerBench<float> bench("batch_norm eps=0", {Shape{2, 60, 60}}, 3);
  std::vector<float> x;
  for (const float v : random_numbers<float>(random, bench.input_size(0))) x.push_back(8192 + std::round(v * 1024) / 1024);
  for (auto& sample : {0, 1}) x[static_cast<std::size_t>(sample)] += 100;  // the first row, the pivot of the block's sums, is an outlier
  const auto dy = random_numbers<float>(random, bench.input_size(0));
  for (const auto* p : {"1", "0"}) {
    exact.set_parameter(p[0] == '0', std::vector<double>(2, std::stod(p)));
    bench.set_parameter(p[0] == '0', std::vector<float>(2, std::stof(p)));
  }
  const Found found = run(bench, x, dy, 3);
  const Found expected = run(exact, std::vector<double>(x.begin(), x.end()), std::vector<double>(dy.begin(), dy.end()), 3);
  BOOST_TEST(distance(found.var, expected.var) <= 1e-4);
  BOOST_TEST(distance(found.mean, expected.mean) <= 1e-6);
}

BOOST_AUTO_TEST_CASE(synchronised_shares_are_the_whole_batch) {
  if (!on_host) return;  // threads stand for ranks
  RandomStream random(test_seed(), 73);
  const Shape shape{18, 5, 3};
  const std::int64_t batch = 7;
  for (int round = 0; round < 4; ++round) {
    const auto x = random_numbers<double>(random, batch * shape.size()), dy = random_numbers<double>(random, batch * shape.size());
    const auto weight = random_numbers<double>(random, 18), bias = random_numbers<double>(random, 18);
    const auto bench_of = [&](std::int64_t samples) {
      auto bench = std::make_unique<LayerBench<double>>("batch_norm sync=true", std::vector{shape}, samples);
      bench->set_parameter(0, weight), bench->set_parameter(1, bias);
      return bench;
    };
    const Found whole = run(*bench_of(batch), x, dy, batch);
    for (int ranks = 2; ranks <= 4; ++ranks) {
      ThreadSum sum(ranks);
      std::vector<std::unique_ptr<LayerBench<double>>> benches;
      std::vector<std::int64_t> cuts{0};
      for (int r = 1; r < ranks; ++r) cuts.push_back(draw(random, cuts.back(), batch));  // shares may be empty
      cuts.push_back(batch);
      std::vector<LayerBench<double>::Result> results(static_cast<std::size_t>(ranks));
      std::vector<std::thread> threads;
      for (int r = 0; r < ranks; ++r) benches.push_back(bench_of(batch));
      for (int r = 0; r < ranks; ++r)
        threads.emplace_back([&, r] {
          const auto i = static_cast<std::size_t>(r);
          const std::int64_t first = cuts[i], count = cuts[i + 1] - first;
          benches[i]->pass().samples = count;
          benches[i]->pass().all_reduce = [&, r](const Execution& exec, Span<double> values, ReductionGroup) { sum(r, exec, values); };
          results[i] =
              benches[i]->forward_backward({part(x, first * shape.size(), count * shape.size())}, part(dy, first * shape.size(), count * shape.size()));
        });
      for (auto& thread : threads) thread.join();
      std::vector<double> y, dx, dweight(18), dbias(18);
      for (std::size_t i = 0; i < benches.size(); ++i) {
        y.insert(y.end(), results[i].y.begin(), results[i].y.end());
        dx.insert(dx.end(), results[i].dx[0].begin(), results[i].dx[0].end());
        for (std::size_t c = 0; c < 18; ++c) dweight[c] += benches[i]->gradient(0)[c], dbias[c] += benches[i]->gradient(1)[c];
      }
      BOOST_TEST_CONTEXT(ranks << " ranks, seed " << test_seed()) {
        BOOST_TEST(distance(y, whole.y) <= rounding<double>);
        BOOST_TEST(distance(dx, whole.dx) <= rounding<double>);
        BOOST_TEST(distance(dweight, whole.dweight) <= rounding<double>);
        BOOST_TEST(distance(dbias, whole.dbias) <= rounding<double>);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(running_moments_are_pytorchs) {
  const int count = for_reference_cases("running", [](const ReferenceCase& reference) {
    const std::int64_t steps = reference.extents("x")[0], batch = reference.extents("x")[1];
    const Shape shape = Shape::parse(reference.text("input"), "input of the reference");
    const auto check = [&]<class T>(T) {
      LayerBench<T> bench(reference.text("layer"), {shape}, batch);
      for (std::size_t i = 0; i < bench.layer().parameters().size(); ++i) bench.set_parameter(i, reference.numbers_as<T>(bench.layer().parameters()[i].name));
      const auto x = reference.numbers_as<T>("x");
      const double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-10;
      for (std::int64_t step = 0; step < steps; ++step) {
        const auto one = part(x, step * batch * shape.size(), batch * shape.size());
        bench.forward({one});
        bench.update_buffers(batch);
        for (std::size_t i : {0u, 1u})
          BOOST_TEST(distance(bench.buffer(i), part(reference.numbers(bench.layer().buffers()[i].name), step * shape[0], shape[0])) <= tolerance);
        bench.pass().training = false;
        BOOST_TEST(distance(bench.forward({one}), part(reference.numbers("evaluated"), step * batch * shape.size(), batch * shape.size())) <= tolerance);
        bench.pass().training = true;
      }
    };
    BOOST_TEST_CONTEXT("running/" << reference.name()) {
      check(double{});
      check(float{});
    }
  });
  BOOST_TEST(count > 2);
}

BOOST_AUTO_TEST_SUITE_END()
