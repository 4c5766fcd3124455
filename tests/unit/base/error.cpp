#include "base/error.hpp"

#include <boost/test/unit_test.hpp>
#include <new>

using namespace trireme;

BOOST_AUTO_TEST_SUITE(error)

BOOST_AUTO_TEST_CASE(any_exception_is_described) {
  const Error known = described(usage_error("data.batch = 0"));
  BOOST_TEST((known.code() == ExitCode::usage));
  BOOST_TEST(known.what() == std::string("data.batch = 0"));
  for (const bool of_kokkos : {false, true}) {
    const Error memory =
        of_kokkos ? described(std::runtime_error("Kokkos ERROR: Host memory space failed to allocate 8 TiB (label=\"x\").")) : described(std::bad_alloc());
    BOOST_TEST((memory.code() == ExitCode::internal));
    BOOST_TEST(std::string(memory.what()).starts_with("out of memory"));
    BOOST_TEST(std::string(memory.what()).find("Hint: ") != std::string::npos);
    if (of_kokkos) BOOST_TEST(std::string(memory.what()).find("8 TiB") != std::string::npos);
  }
  BOOST_TEST(described(std::runtime_error("what it was")).what() == std::string("what it was"));
}

BOOST_AUTO_TEST_SUITE_END()
