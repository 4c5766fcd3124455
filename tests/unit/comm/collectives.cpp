#include <boost/test/unit_test.hpp>
#include <tuple>

#include "base/random.hpp"
#include "comm/communicator.hpp"

using namespace trireme;

namespace {

/// What rank `rank` contributes to round `round`; every rank can say what any other has.
template <class T>
std::vector<T> contribution(int rank, int round) {
  RandomStream random(static_cast<std::uint64_t>(rank), static_cast<std::uint64_t>(round));
  std::vector<T> values(random.below(3) == 0 ? 0 : random.below(2000));
  for (T& value : values) value = static_cast<T>(random.bits());
  return values;
}

std::string text_of(int rank, int round) {
  const auto values = contribution<char>(rank, round);
  return std::string(values.begin(), values.end());  // zero bytes too
}

using Types = std::tuple<char, std::byte, int, std::int64_t, std::uint64_t, float, double>;

}  // namespace

BOOST_AUTO_TEST_SUITE(collectives)

BOOST_AUTO_TEST_CASE_TEMPLATE(all_gather_concatenates_in_rank_order, T, Types) {
  const Communicator comm = Communicator::world();
  for (int round = 0; round < 5; ++round) {
    std::vector<T> expected;
    for (int r = 0; r < comm.size(); ++r) {
      const auto part = contribution<T>(r, round);
      expected.insert(expected.end(), part.begin(), part.end());
    }
    const auto mine = contribution<T>(comm.rank(), round);
    BOOST_TEST((comm.all_gather(std::span<const T>(mine)) == expected));
  }
  BOOST_TEST(comm.all_gather(std::span<const T>()).empty());
}

BOOST_AUTO_TEST_CASE(gather_keeps_every_text_apart) {
  const Communicator comm = Communicator::world();
  for (int round = 0; round < 8; ++round) {
    const auto texts = comm.gather(text_of(comm.rank(), round));
    BOOST_TEST(texts.size() == static_cast<std::size_t>(comm.rank() == 0 ? comm.size() : 0));
    for (std::size_t r = 0; r < texts.size(); ++r) BOOST_TEST((texts[r] == text_of(static_cast<int>(r), round)));
  }
}

BOOST_AUTO_TEST_CASE(broadcast_from_every_root) {
  const Communicator comm = Communicator::world();
  for (int root = 0; root < comm.size(); ++root)
    for (int round = 0; round < 4; ++round) {
      // Texts have other lengths elsewhere; spans must agree in length.
      BOOST_TEST((comm.broadcast(text_of(comm.rank(), round), root) == text_of(root, round)));
      auto values = contribution<double>(root, round);
      const auto expected = values;
      if (comm.rank() != root) std::fill(values.begin(), values.end(), -1.0);
      comm.broadcast(std::span(values), root);
      BOOST_TEST((values == expected));
    }
}

BOOST_AUTO_TEST_CASE(all_reduce_of_one_and_many) {
  const Communicator comm = Communicator::world();
  const int n = comm.size();
  BOOST_TEST(comm.all_reduce(comm.rank() + 1) == n * (n + 1) / 2);
  BOOST_TEST(comm.all_reduce(std::int64_t{comm.rank()}, MPI_MIN) == 0);
  BOOST_TEST(comm.all_reduce(static_cast<double>(comm.rank()), MPI_MAX) == n - 1);
  std::vector<double> values(1000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i) + 1000.0 * comm.rank();
  comm.all_reduce(std::span(values));
  for (std::size_t i = 0; i < values.size(); ++i) BOOST_TEST(values[i] == static_cast<double>(i) * n + 1000.0 * (n * (n - 1) / 2));
}

BOOST_AUTO_TEST_CASE(moving_hands_over_the_group) {
  Communicator first = Communicator::world();
  const MPI_Comm handle = first.handle();
  Communicator second = std::move(first);
  BOOST_TEST((second.handle() == handle));
  BOOST_TEST((first.handle() == MPI_COMM_NULL));
  Communicator third = second.duplicate();
  BOOST_TEST((third.handle() != handle));
  third = std::move(second);
  BOOST_TEST((third.handle() == handle));
  BOOST_TEST(third.all_reduce(1) == third.size());
}

// A call that MPI refuses becomes an error with the call, the place and MPI's own words, and the group lives on.
BOOST_AUTO_TEST_CASE(refused_calls_say_where) {
  const Communicator comm = Communicator::world();
  int value = 0;
  const int nobody = comm.size() + 7;
  BOOST_CHECK_EXCEPTION(TRIREME_MPI(MPI_Bcast(&value, 1, MPI_INT, nobody, comm.handle())), Error, [](const Error& error) {
    const std::string message = error.what();
    return error.code() == ExitCode::internal && message.find("MPI_Bcast(&value") != message.npos && message.find("collectives.cpp:") != message.npos &&
           message.find("root") != message.npos;
  });
  BOOST_TEST(comm.all_reduce(1) == comm.size());
}

BOOST_AUTO_TEST_SUITE_END()
