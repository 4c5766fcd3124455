// Boost.Test's entry point for all test programs: MPI lives around the tests, and each rank reports for itself.
#define BOOST_TEST_NO_MAIN
#define BOOST_TEST_ALTERNATIVE_INIT_API
#include <boost/test/included/unit_test.hpp>

#include "comm/environment.hpp"

bool init_unit_test() { return true; }

int main(int argc, char** argv) {
  trireme::Environment environment(argc, argv);
  const int result = boost::unit_test::unit_test_main(&init_unit_test, argc, argv);
  // A rank that failed must not wait for ranks that did not (or the other way round) in MPI_Finalize's barrier.
  if (result != 0 && environment.size() > 1) MPI_Abort(MPI_COMM_WORLD, result);
  return result;
}
