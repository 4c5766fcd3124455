#include <boost/test/unit_test.hpp>
#include <thread>
#include <tuple>

#include "comm/communicator.hpp"

using namespace trireme;

namespace {

/// Whole numbers, so that sums are exact in any order.
template <class T>
std::vector<T> values_of(int rank, std::size_t n, int salt = 0) {
  std::vector<T> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<T>((i * 7 + static_cast<std::size_t>(rank * 131 + salt * 17)) % 1009);
  return values;
}

template <class T>
std::vector<T> sum_of(int ranks, std::size_t n, int salt = 0) {
  std::vector<T> sum(n);
  for (int r = 0; r < ranks; ++r) {
    const auto part = values_of<T>(r, n, salt);
    for (std::size_t i = 0; i < n; ++i) sum[i] += part[i];
  }
  return sum;
}

using Summands = std::tuple<float, double, std::int64_t>;

}  // namespace

BOOST_AUTO_TEST_SUITE(requests)

BOOST_AUTO_TEST_CASE_TEMPLATE(begin_all_reduce_sums_in_place, T, Summands) {
  const Communicator comm = Communicator::world();
  for (const std::size_t n : {0, 1, 5, 4096, 300000}) {
    auto values = values_of<T>(comm.rank(), n);
    Request request = comm.begin_all_reduce(values.data(), n);
    request.wait();
    BOOST_TEST((values == sum_of<T>(comm.size(), n)));
    BOOST_TEST(request.done());
    request.wait();  // a second time returns at once
  }
}

BOOST_AUTO_TEST_CASE(done_alone_brings_it_to_an_end) {
  const Communicator comm = Communicator::world();
  auto values = values_of<double>(comm.rank(), 100000);
  Request request = comm.begin_all_reduce(values.data(), values.size());
  while (!request.done()) std::this_thread::yield();
  BOOST_TEST((values == sum_of<double>(comm.size(), values.size())));
  BOOST_TEST(Request().done());
}

BOOST_AUTO_TEST_CASE(many_under_way_waited_in_reverse) {
  const Communicator comm = Communicator::world();
  std::vector<std::vector<float>> buckets;
  std::vector<Request> pending;
  for (int b = 0; b < 10; ++b) buckets.push_back(values_of<float>(comm.rank(), static_cast<std::size_t>(1000 * b + 1), b));
  for (auto& bucket : buckets) pending.push_back(comm.begin_all_reduce(bucket.data(), bucket.size()));
  for (auto request = pending.rbegin(); request != pending.rend(); ++request) request->wait();
  for (int b = 0; b < 10; ++b) {
    const auto& bucket = buckets[static_cast<std::size_t>(b)];
    BOOST_TEST((bucket == sum_of<float>(comm.size(), bucket.size(), b)));
  }
}

BOOST_AUTO_TEST_CASE(destroying_or_moving_over_an_unfinished_one_waits) {
  const Communicator comm = Communicator::world();
  auto first = values_of<double>(comm.rank(), 50000, 1), second = values_of<double>(comm.rank(), 50000, 2);
  {
    Request a = comm.begin_all_reduce(first.data(), first.size());
    Request b = comm.begin_all_reduce(second.data(), second.size());
    Request c = std::move(a);
    BOOST_TEST(a.done());  // it has nothing to wait for any more
    c = std::move(b);
  }
  BOOST_TEST((first == sum_of<double>(comm.size(), first.size(), 1)));
  BOOST_TEST((second == sum_of<double>(comm.size(), second.size(), 2)));
}

// Talk on a duplicate does not mix with talk on its origin, even when ranks begin them in different orders.
BOOST_AUTO_TEST_CASE(duplicates_are_separate) {
  const Communicator comm = Communicator::world();
  const Communicator other = comm.duplicate();
  auto first = values_of<double>(comm.rank(), 3000, 1), second = values_of<double>(comm.rank(), 3000, 2);
  std::vector<Request> pending;
  const auto begin_first = [&] { pending.push_back(comm.begin_all_reduce(first.data(), first.size())); };
  const auto begin_second = [&] { pending.push_back(other.begin_all_reduce(second.data(), second.size())); };
  if (comm.rank() % 2 == 0)
    begin_first(), begin_second();
  else
    begin_second(), begin_first();
  for (Request& request : pending) request.wait();
  BOOST_TEST((first == sum_of<double>(comm.size(), first.size(), 1)));
  BOOST_TEST((second == sum_of<double>(comm.size(), second.size(), 2)));
}

BOOST_AUTO_TEST_SUITE_END()
