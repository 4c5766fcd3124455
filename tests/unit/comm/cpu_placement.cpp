#include "comm/cpu_placement.hpp"

#include <boost/test/unit_test.hpp>

using namespace trireme;

BOOST_AUTO_TEST_SUITE(cpu_placement)

namespace {

CpuMask cores(std::initializer_list<int> list) {
  CpuMask mask;
  for (const int core : list) mask.set(static_cast<std::size_t>(core));
  return mask;
}

}  // namespace

BOOST_AUTO_TEST_CASE(threads_are_a_fair_share) {
  const std::vector<CpuMask> shared(2, cores({0, 1, 2, 3})), own{cores({0, 1}), cores({2, 3, 4})}, mixed{cores({0, 1}), cores({1, 2, 3})},
      many(5, cores({0, 1}));
  BOOST_TEST(fair_threads(shared, 0) == 2);
  BOOST_TEST(fair_threads(own, 0) == 2);
  BOOST_TEST(fair_threads(own, 1) == 3);
  BOOST_TEST(fair_threads(mixed, 0) == 1);
  BOOST_TEST(fair_threads(mixed, 1) == 2);
  BOOST_TEST(fair_threads(many, 4) == 1);
}

BOOST_AUTO_TEST_CASE(crowded_ranks_are_named) {
  const CpuMask all = cores({0, 1, 2, 3});
  const auto text = [](const std::vector<RankCpus>& ranks, int machine = 4) { return crowded_text(ranks, 4, "host", machine); };
  const auto has = [](const std::string& told, const char* word) { return told.find(word) != std::string::npos; };
  BOOST_TEST(text({{all, all, 2}, {all, all, 2}}) == "");
  BOOST_TEST(text({{all, cores({0}), 1}, {all, cores({1}), 1}}) == "");
  const std::string bound = text({{all, cores({2, 3}), 2}, {all, cores({0}), 1}, {all, cores({0}), 1}});
  for (const char* word : {"ranks 5, 6 on host", "2 threads share 1 core(s) (0) of 4", "OMP_PROC_BIND=false", "-bind-to core"})
    BOOST_TEST(has(bound, word), bound);
  const std::string threads = text({{all, all, 64}});
  for (const char* word : {"rank 4 on host", "64 threads share 4 core(s)", "OMP_NUM_THREADS"}) BOOST_TEST(has(threads, word), threads);
  // More ranks than cores is what was asked for; all on one core of several is not.
  BOOST_TEST(text({{cores({0}), cores({0}), 1}, {cores({0}), cores({0}), 1}}, 1) == "");
  BOOST_TEST(has(text({{cores({0}), cores({0}), 1}, {cores({0}), cores({0}), 1}}, 2), "--cpu-bind=cores"));
}

BOOST_AUTO_TEST_SUITE_END()
