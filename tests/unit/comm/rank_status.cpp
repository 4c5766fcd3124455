// What a watchdog reads is what the watched thread wrote, of one moment.
#include "comm/rank_status.hpp"

#include <boost/test/unit_test.hpp>
#include <memory>
#include <thread>

#include "comm/communicator.hpp"

using namespace trireme;

namespace {

struct Entry {
  std::unique_ptr<RankStatus> memory{new RankStatus{}};
  Entry() { write_whereabouts_to(memory.get()); }
  ~Entry() { write_whereabouts_to(nullptr); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(rank_status)

BOOST_AUTO_TEST_CASE(places_and_waits) {
  BOOST_TEST(place_of_this_thread().empty());
  const Entry entry;
  BOOST_TEST(place_of_this_thread().empty());
  record_step(12);
  BOOST_TEST(place_of_this_thread() == "step 12");
  now_in_layer("conv1", true);
  BOOST_TEST(place_of_this_thread() == "step 12, backward of 'conv1'");
  now_in_layer(std::string(300, 'x'), false);
  BOOST_TEST(place_of_this_thread().size() < 120u);
  {
    const WaitScope outer("all-reduce", MPI_COMM_WORLD);
    const WaitScope inner("its data");
    const auto seen = entry.memory->read();
    BOOST_TEST(static_cast<int>(seen.doing) == static_cast<int>(RankStatus::waiting));
    BOOST_TEST(seen.operation == "all-reduce (MPI_COMM_WORLD)");
    std::thread([] { record_step(99); }).join();  // not its entry
  }
  BOOST_TEST(static_cast<int>(entry.memory->read().doing) == static_cast<int>(RankStatus::computing));
  BOOST_TEST(entry.memory->read().step == 12);
  record_step(13);
  BOOST_TEST(place_of_this_thread() == "step 13");
}

BOOST_AUTO_TEST_CASE(collectives_say_what_they_are) {
  const Communicator world = Communicator::world();
  const Entry entry;
  // After a wait everything is as before it, whatever the call.
  std::vector<double> values(10, 1.0);
  world.all_reduce(std::span<double>(values));
  world.begin_all_reduce(values.data(), values.size()).wait();
  world.barrier();
  const auto seen = entry.memory->read();
  BOOST_TEST(static_cast<int>(seen.doing) == static_cast<int>(RankStatus::computing));
  BOOST_TEST(seen.operation.empty());
}

// Names of one letter each: a reader must never take parts of two for one.
BOOST_AUTO_TEST_CASE(readers_see_one_moment) {
  const Entry entry;
  record_step(1);
  std::atomic<bool> ends = false;
  std::int64_t reads = 0, torn = 0;
  std::thread reader([&] {
    while (!ends) {
      const auto seen = entry.memory->read();
      if (!seen.of_one_moment) continue;  // the machine is so busy that the writer sleeps in the middle
      ++reads;
      if (!seen.layer.empty() && seen.layer.find_first_not_of(seen.layer[0]) != std::string::npos) ++torn;
    }
  });
  for (int i = 0; i < 200000; ++i) now_in_layer(std::string(60, static_cast<char>('a' + i % 26)), false);
  ends = true;
  reader.join();
  BOOST_TEST(reads > 0);
  BOOST_TEST(torn == 0);
}

BOOST_AUTO_TEST_SUITE_END()
