// The order in which a pipeline stage processes micro-batches.
#include "train/pipeline_schedule.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <string>

using trireme::PipelineSchedule;

namespace {

std::string order(int stages, int stage, std::int64_t micro_batches) {
  std::string text;
  PipelineSchedule(stages, stage, micro_batches)
      .run([&](std::int64_t m) { text += " F" + std::to_string(m); }, [&](std::int64_t m) { text += " B" + std::to_string(m); });
  return text;
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_stage_takes_forward_and_backward_in_turn) { BOOST_TEST(order(1, 0, 3) == " F0 B0 F1 B1 F2 B2"); }

BOOST_AUTO_TEST_CASE(earlier_stages_run_ahead) {
  BOOST_TEST(order(3, 0, 4) == " F0 F1 F2 B0 F3 B1 B2 B3");
  BOOST_TEST(order(3, 1, 4) == " F0 F1 B0 F2 B1 F3 B2 B3");
  BOOST_TEST(order(3, 2, 4) == " F0 B0 F1 B1 F2 B2 F3 B3");
}

BOOST_AUTO_TEST_CASE(fewer_micro_batches_than_stages) { BOOST_TEST(order(4, 0, 2) == " F0 F1 B0 B1"); }

// The network's slots rely on this: at most `stages - stage` micro-batches are in flight.
BOOST_AUTO_TEST_CASE(few_micro_batches_are_in_flight) {
  for (int stages = 1; stages <= 5; ++stages)
    for (int stage = 0; stage < stages; ++stage)
      for (const std::int64_t micro_batches : {1, 2, 5, 16}) {
        int under_way = 0, most = 0, forward = 0, backward = 0;
        const auto begin = [&](std::int64_t m) {
          BOOST_TEST(m == forward);
          ++forward;
          most = std::max(most, ++under_way);
        };
        const auto end = [&](std::int64_t m) {
          BOOST_TEST(m == backward);
          BOOST_TEST(m < forward);
          ++backward;
          --under_way;
        };
        PipelineSchedule(stages, stage, micro_batches).run(begin, end);
        BOOST_TEST(forward == micro_batches);
        BOOST_TEST(backward == micro_batches);
        BOOST_TEST(most <= stages - stage);
      }
}
