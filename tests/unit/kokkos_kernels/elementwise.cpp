// Copies, sums and changes of layout against their definitions; sums that do not depend on threads.
#include "kokkos_kernels/elementwise.hpp"

#include <boost/test/unit_test.hpp>
#include <mutex>
#include <set>
#include <thread>

#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class T>
void check_maps(RandomStream& random, std::int64_t count) {
  const auto a = random_numbers<T>(random, count), b = random_numbers<T>(random, count);
  std::vector<T> added(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) added[i] = a[i] + b[i];
  const Guarded<T> da(a), db(b), copied(count), summed(count), accumulated(b), filled(count);
  const Execution exec;
  copy<T>(exec, count, da, copied);
  sum<T>(exec, count, da, db, summed);
  add_to<T>(exec, count, da, accumulated);
  fill<T>(exec, count, T(3), filled);
  BOOST_TEST(same_bits(copied.values(), a));
  BOOST_TEST(same_bits(summed.values(), added));
  BOOST_TEST(distance(accumulated.values(), added) == 0.0);
  BOOST_TEST(same_bits(filled.values(), std::vector<T>(a.size(), T(3))));
  BOOST_TEST((copied.guards_hold() && summed.guards_hold() && accumulated.guards_hold() && filled.guards_hold()));
}

template <class T>
void check_layouts(RandomStream& random, std::int64_t n, std::int64_t pixels, std::int64_t channels) {
  const auto x = random_numbers<T>(random, n * pixels * channels);
  const Shape sample{channels, pixels};
  const Guarded<T> device(x), first(static_cast<std::int64_t>(x.size())), back(static_cast<std::int64_t>(x.size()));
  const Execution exec;
  channels_first<T>(exec, n, pixels, channels, device, first);
  channels_last<T>(exec, n, pixels, channels, first, back);
  BOOST_TEST(same_bits(first.values(), to_channels_first(x, sample)));
  BOOST_TEST(same_bits(back.values(), x));
  BOOST_TEST((first.guards_hold() && back.guards_hold()));
}

template <class T>
void check_columns(RandomStream& random, std::int64_t rows) {
  const std::int64_t width = random.below(8) == 0 ? draw(random, 4090, 8200) : draw(random, 0, 40), from_first = draw(random, 0, 5),
                     to_first = draw(random, 0, 5);
  const std::int64_t from_width = from_first + width + draw(random, 0, 5), to_width = to_first + width + draw(random, 0, 5);
  const auto from = random_numbers<T>(random, rows * from_width), to = random_numbers<T>(random, rows * to_width);
  auto expected = to;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < width; ++c)
      expected[static_cast<std::size_t>(r * to_width + to_first + c)] = from[static_cast<std::size_t>(r * from_width + from_first + c)];
  const Guarded<T> dev_from(from), dev_to(to);
  copy_columns<T>(Execution(), rows, width, dev_from, from_width, from_first, dev_to, to_width, to_first);
  BOOST_TEST(same_bits(dev_to.values(), expected));
  BOOST_TEST(dev_to.guards_hold());
}

template <class T>
void check_rows(RandomStream& random, std::int64_t rows, std::int64_t columns) {
  const auto x = random_numbers<T>(random, rows * columns), bias = random_numbers<T>(random, columns), start = random_numbers<T>(random, columns);
  std::vector<double> biased(x.begin(), x.end()), sums(start.begin(), start.end());
  for (std::size_t i = 0; i < x.size(); ++i) {
    biased[i] += static_cast<double>(bias[i % bias.size()]);
    sums[i % bias.size()] += static_cast<double>(x[i]);
  }
  const auto clipped = [](std::vector<double> values) {
    for (double& v : values) v = std::max(v, 0.0);
    return values;
  };
  const Execution exec;
  const Guarded<T> dev_x(x), dev_bias(bias), plain(x), relu(x), relu_alone(x), dev_sums(start);
  add_bias<T>(exec, rows, columns, dev_bias, plain, false);
  add_bias<T>(exec, rows, columns, dev_bias, relu, true);
  add_bias<T>(exec, rows, columns, Span<const T>(), relu_alone, true);
  add_column_sums<T>(exec, rows, columns, dev_x, dev_sums);
  BOOST_TEST(distance(plain.values(), biased, 1) <= rounding<T>);
  BOOST_TEST(distance(relu.values(), clipped(biased), 1) <= rounding<T>);
  BOOST_TEST(distance(relu_alone.values(), clipped({x.begin(), x.end()})) == 0.0);
  BOOST_TEST(distance(dev_sums.values(), sums, 1) <= rounding<T>);
  BOOST_TEST((plain.guards_hold() && relu.guards_hold() && dev_sums.guards_hold()));
}

template <class T>
void check_norm(RandomStream& random, std::int64_t count) {
  const auto x = random_numbers<T>(random, count);
  double expected = 0;
  for (const T v : x) expected += static_cast<double>(v) * static_cast<double>(v);
  const Guarded<T> device(x);
  std::vector<std::vector<double>> results;
  for (const Execution& exec : few_and_many_threads()) {
    const Guarded<double> partial(squared_norm_workspace(count)), result(1);
    squared_norm<T>(exec, count, device, partial, result);
    exec.fence("trireme::test");
    results.push_back(result.values());
    BOOST_TEST((partial.guards_hold() && result.guards_hold()));
  }
  BOOST_TEST(std::abs(results[0][0] - expected) <= 1e-12 * expected);
  BOOST_TEST(same_bits(results.front(), results.back()));
}

template <class T>
void check_all(std::uint64_t seed) {
  RandomStream random(seed, sizeof(T));
  const std::vector<std::int64_t> sizes{1, 2, 15, 16, 17, 63, 64, 65, 129};
  for (int i = 0; i < 40; ++i) BOOST_TEST_CONTEXT("seed " << seed << " case " << i << ", " << sizeof(T) << "-byte") {
      check_maps<T>(random, i == 0 ? 0 : draw(random, 1, 5000));
      check_layouts<T>(random, draw(random, 0, 3), pick(random, sizes), pick(random, sizes));
      check_columns<T>(random, draw(random, 0, 20));
      check_rows<T>(random, draw(random, 0, 70), i % 10 == 9 ? draw(random, 4090, 8200) : pick(random, sizes));
    }
  for (const std::int64_t count : {0, 1, 8191, 8192, 8193, 50000}) BOOST_TEST_CONTEXT("seed " << seed << " count " << count) {
      check_norm<T>(random, count);
    }
}

template <class Space>
std::size_t threads_of(const Space& exec) {
  std::set<std::thread::id> seen;
  if constexpr (on_host) {
    std::mutex mutex;
    Kokkos::parallel_for("trireme::test::threads", Kokkos::RangePolicy<Space>(exec, 0, 1000), [&](int) {
      const std::lock_guard lock(mutex);
      seen.insert(std::this_thread::get_id());
    });
    exec.fence("trireme::test");
  }
  return seen.size();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(elementwise)

BOOST_AUTO_TEST_CASE(kernels_equal_their_definitions) {
  check_all<double>(test_seed());
  check_all<float>(test_seed());
}

// What the tests of independence of threads stand on.
BOOST_AUTO_TEST_CASE(instances_have_few_and_many_threads) {
  if (!on_host || Execution().concurrency() < 2) return;
  const auto instances = few_and_many_threads();
  BOOST_TEST(threads_of(instances.front()) > 1u);
  BOOST_TEST(threads_of(instances.back()) == 1u);
}

BOOST_AUTO_TEST_CASE(column_sums_do_not_depend_on_threads) {
  RandomStream random(test_seed(), 9);
  const std::int64_t rows = 333, columns = 200;
  const Guarded<float> x(random_numbers<float>(random, rows * columns));
  std::vector<std::vector<float>> results;
  for (const Execution& exec : few_and_many_threads()) {
    const Guarded<float> sums(std::vector<float>(static_cast<std::size_t>(columns)));
    add_column_sums<float>(exec, rows, columns, x, sums);
    exec.fence("trireme::test");
    results.push_back(sums.values());
  }
  BOOST_TEST(same_bits(results.front(), results.back()));
}

BOOST_AUTO_TEST_CASE(a_norm_of_floats_does_not_overflow) {
  const Guarded<float> x(std::vector<float>(3, 1e30f));
  const Guarded<double> partial(squared_norm_workspace(3)), result(1);
  squared_norm<float>(Execution(), 3, x, partial, result);
  BOOST_TEST(std::abs(result.values()[0] / 3e60 - 1) < 1e-6);
}

BOOST_AUTO_TEST_SUITE_END()
