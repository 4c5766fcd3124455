// A watchdog ends a job that hangs, with a report, and no other job.
#include "run/watchdog.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "base/error.hpp"
#include "comm/rank_status.hpp"
#include "decks.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;
using namespace std::chrono_literals;

namespace {

const std::string token = "0123456789abcdef";

/// Runs one case of this program as a process of its own; its exit code, and in `said` what it wrote to standard error.
int run_case(const std::string& name, std::string& said) {
  const TemporaryDirectory folder;
  const auto file = folder / "stderr";
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const int status = std::system(("'" + program + "' --run_test=" + name + " >'" + (folder / "stdout").string() + "' 2>'" + file.string() + "'").c_str());
  said = content_of(file);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(watchdog)

BOOST_AUTO_TEST_CASE(it_shows_the_status_of_this_thread) {
  const Communicator comm = Communicator::world();
  const TemporaryDirectory folder;
  BOOST_TEST(place_of_this_thread() == "");
  {
    const Watchdog off(comm, 0, folder.path(), token);
    record_step(12);
    now_in_layer("conv1", true);
    BOOST_TEST(place_of_this_thread().find("step 12") != std::string::npos);
    BOOST_TEST(place_of_this_thread().find("conv1") != std::string::npos);
    std::string other = "x";
    std::thread([&] { other = place_of_this_thread(); }).join();
    BOOST_TEST(other == "");
  }
  BOOST_TEST(place_of_this_thread() == "");
  record_step(13);  // does nothing
  BOOST_TEST(std::filesystem::is_empty(folder.path()));
}

BOOST_AUTO_TEST_CASE(it_lets_a_rank_compute_for_long_and_wait_often) {
  const Communicator comm = Communicator::world();
  const TemporaryDirectory folder;
  const Watchdog dog(comm, 1, folder.path(), token);
  std::this_thread::sleep_for(1500ms);  // computes
  for (int i = 0; i < 30; ++i) {
    const WaitScope wait("a message", comm.handle());
    std::this_thread::sleep_for(50ms);
  }
  BOOST_TEST(std::filesystem::is_empty(folder.path()));
}

BOOST_AUTO_TEST_CASE(without_a_limit_it_lets_a_rank_wait) {
  const Communicator comm = Communicator::world();
  const TemporaryDirectory folder;
  const Watchdog off(comm, 0, folder.path(), token);
  const WaitScope wait("a message", comm.handle());
  std::this_thread::sleep_for(300ms);
}

BOOST_AUTO_TEST_CASE(it_ends_a_job_that_hangs_and_says_where) {
  std::string said;
  BOOST_TEST(run_case("watchdog/hangs_for_other_ranks", said) == static_cast<int>(ExitCode::hang), said);
  for (const char* part :
       {"run.hang_timeout = 0.3 s", "All ranks wait for each other", "step 7", "conv1", "the sum of a bucket (MPI_COMM_WORLD): rank(s) 0", "Hint"})
    BOOST_TEST(said.find(part) != std::string::npos, "'" << part << "' is missing in: " << said);

  BOOST_TEST(run_case("watchdog/hangs_in_its_files", said) == static_cast<int>(ExitCode::hang), said);
  for (const char* part : {"run.hang_timeout = 0.3 s", "Not arrived", "rank 0 on ", "waiting for a file that never comes", "Hint"})
    BOOST_TEST(said.find(part) != std::string::npos, "'" << part << "' is missing in: " << said);
}

// The two processes that the case above starts.
BOOST_AUTO_TEST_CASE(hangs_for_other_ranks, *boost::unit_test::disabled()) {
  const Watchdog dog(Communicator::world(), 0.3, std::filesystem::temp_directory_path(), token);
  record_step(7);
  now_in_layer("conv1", false);
  const WaitScope wait("the sum of a bucket", MPI_COMM_WORLD);
  std::this_thread::sleep_for(60s);
}

BOOST_AUTO_TEST_CASE(hangs_in_its_files, *boost::unit_test::disabled()) {
  const Watchdog dog(Communicator::world(), 0.3, std::filesystem::temp_directory_path(), token);
  const WaitScope wait("a file that never comes");
  std::this_thread::sleep_for(60s);
}

BOOST_AUTO_TEST_SUITE_END()
