// The I/O thread runs what it is given, in order, and brings back results and errors.
#include "io/io_thread.hpp"

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

using trireme::IoThread;

BOOST_AUTO_TEST_SUITE(io_thread)

BOOST_AUTO_TEST_CASE(one_other_thread_in_order) {
  std::vector<int> order;
  std::vector<std::thread::id> threads;
  {
    IoThread io;
    for (int i = 0; i < 1000; ++i)
      io.submit([&, i] {
        if (i == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the queue fills meanwhile
        order.push_back(i);
        threads.push_back(std::this_thread::get_id());
      });
  }  // runs all that is queued
  BOOST_TEST(order.size() == 1000u);
  BOOST_TEST(std::ranges::is_sorted(order));
  for (const auto id : threads) BOOST_REQUIRE((id == threads.front() && id != std::this_thread::get_id()));
}

BOOST_AUTO_TEST_CASE(results_and_errors_come_back) {
  IoThread io;
  auto later = io.submit([] { return 42; });
  BOOST_CHECK_THROW(io.run([]() -> int { throw std::runtime_error("disk"); }), std::runtime_error);
  BOOST_TEST(later.get() == 42);
  BOOST_TEST(io.run([text = std::string("still works")] { return text; }) == "still works");
}

BOOST_AUTO_TEST_CASE(submitting_does_not_wait) {
  IoThread io;
  std::atomic<bool> released{false};
  auto blocked = io.submit([&] {
    while (!released) std::this_thread::yield();
  });
  auto next = io.submit([] { return 1; });
  BOOST_TEST((next.wait_for(std::chrono::milliseconds(1)) == std::future_status::timeout));
  released = true;
  BOOST_TEST(next.get() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
