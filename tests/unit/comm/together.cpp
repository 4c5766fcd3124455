// together(): an error of one rank is one message of all.
#include <bit>
#include <boost/test/unit_test.hpp>

#include "comm/communicator.hpp"

using namespace trireme;

namespace {

constexpr ExitCode codes[] = {ExitCode::usage, ExitCode::data, ExitCode::checkpoint, ExitCode::numerical};

std::string message_of(int rank) { return std::string(static_cast<std::size_t>(rank * 1000), 'x') + " found by rank " + std::to_string(rank); }

}  // namespace

BOOST_AUTO_TEST_SUITE(acting_together)

BOOST_AUTO_TEST_CASE(success_runs_once_everywhere) {
  const Communicator comm = Communicator::world();
  int runs = 0;
  BOOST_CHECK_NO_THROW(comm.together([&] { ++runs; }));
  BOOST_TEST(runs == 1);
}

// For every set of failing ranks: all throw the lowest one's message and code, and can talk to each other afterwards.
BOOST_AUTO_TEST_CASE(every_set_of_failing_ranks) {
  const Communicator comm = Communicator::world();
  for (unsigned failing = 1; failing < (1u << comm.size()); ++failing) {
    const int lowest = std::countr_zero(failing);
    bool thrown = false;
    try {
      comm.together([&] {
        if ((failing >> comm.rank()) & 1u) throw Error(codes[comm.rank() % 4], message_of(comm.rank()));
      });
    } catch (const Error& error) {
      thrown = true;
      BOOST_TEST(error.what() == message_of(lowest));
      BOOST_TEST((error.code() == codes[lowest % 4]));
    }
    BOOST_TEST(thrown);
    BOOST_TEST(comm.all_reduce(1) == comm.size());
  }
}

// An error stays an error when it has no words or, by mistake, the code of success.
BOOST_AUTO_TEST_CASE(odd_errors_are_not_lost) {
  const Communicator comm = Communicator::world();
  const int last = comm.size() - 1;
  const auto fails_with = [&](const Error& thrown, ExitCode expected) {
    BOOST_CHECK_EXCEPTION(comm.together([&] {
      if (comm.rank() == last) throw thrown;
    }),
                          Error, [&](const Error& error) { return error.code() == expected && std::string(error.what()) == thrown.what(); });
  };
  fails_with(Error(ExitCode::data, ""), ExitCode::data);
  fails_with(Error(ExitCode::done, "words"), ExitCode::internal);
  fails_with(Error(ExitCode::done, ""), ExitCode::internal);
}

BOOST_AUTO_TEST_CASE(nested_calls_report_the_inner_error) {
  const Communicator comm = Communicator::world();
  BOOST_CHECK_EXCEPTION(comm.together([&] {
    comm.together([&] {
      if (comm.rank() == comm.size() - 1) throw data_error("inner");
    });
  }),
                        Error, [](const Error& error) { return error.code() == ExitCode::data && std::string(error.what()) == "inner"; });
}

BOOST_AUTO_TEST_SUITE_END()
