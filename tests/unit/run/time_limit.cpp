// When a run stops because its time draws to an end.
#include "run/time_limit.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <ctime>
#include <string>

#include "base/error.hpp"

using trireme::TimeLimit;

namespace {

struct JobEnd {  // what Slurm tells
  explicit JobEnd(const std::string& text) { setenv("SLURM_JOB_END_TIME", text.c_str(), 1); }
  ~JobEnd() { unsetenv("SLURM_JOB_END_TIME"); }
};

// Looks once a `step` from now on and says after how many seconds it is told to stop; -1: not within `most`.
double stops_after(TimeLimit& limit, double step, double most) {
  const double start = TimeLimit::now();
  for (double t = 0; t <= most; t += step)
    if (limit.near(start + t)) return t;
  return -1;
}

}  // namespace

BOOST_AUTO_TEST_CASE(no_limit_never_stops) {
  TimeLimit limit(0, 30, 5);
  BOOST_TEST(!limit.exists());
  BOOST_TEST(stops_after(limit, 1e4, 1e9) == -1);
}

BOOST_AUTO_TEST_CASE(the_job_of_the_scheduler_ends) {
  const JobEnd end(std::to_string(static_cast<long long>(std::time(nullptr)) + 1000));
  TimeLimit limit(0, 30, 5);
  BOOST_REQUIRE(limit.exists());
  // 30 for the margin, 2 x 5 for the checkpoint, 2 x 10 for the steps.
  const double stop = stops_after(limit, 10, 2000);
  BOOST_TEST(stop >= 1000 - 60 - 1);
  BOOST_TEST(stop <= 1000 - 60 + 10 + 1);
}

BOOST_AUTO_TEST_CASE(the_earlier_of_two_counts) {
  const JobEnd end(std::to_string(static_cast<long long>(std::time(nullptr)) + 1000));
  TimeLimit shorter(500, 0, 0), longer(5000, 0, 0);
  BOOST_TEST(shorter.left(TimeLimit::now()) <= 500);
  BOOST_TEST(longer.left(TimeLimit::now()) <= 1000);
  BOOST_TEST(longer.left(TimeLimit::now()) > 990);
}

BOOST_AUTO_TEST_CASE(what_was_measured_takes_the_place_of_the_guess) {
  TimeLimit limit(1e4, 30, 500);
  BOOST_TEST(limit.needed() == 1030);
  limit.checkpoint_took(2);
  BOOST_TEST(limit.needed() == 34);
  limit.checkpoint_took(7);  // the longest counts
  limit.checkpoint_took(3);
  BOOST_TEST(limit.needed() == 44);
}

BOOST_AUTO_TEST_CASE(there_is_room_for_the_longest_step_and_a_checkpoint) {
  // Whatever the steps and checkpoints take: what is told to stop can still end a step as long as any before it, and write a checkpoint.
  for (const double step : {0.01, 0.7, 20.0})
    for (const double checkpoint : {0.1, 3.0, 60.0})
      for (const double length : {300.0, 1000.0}) {
        TimeLimit limit(length, 5, 0);
        limit.checkpoint_took(checkpoint);
        const double start = TimeLimit::now(), end = start + limit.left(start);
        double now = start;
        while (!limit.near(now)) now += step;
        BOOST_TEST(now + step + checkpoint + 5 <= end);
        BOOST_TEST(now + 2 * step + 2 * checkpoint + 5 >= end - step - 1e-6);  // nor does it stop much too early
        BOOST_TEST(limit.near(now - 100));                                     // for good
      }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_the_end_of_this_job_is_not_heeded) {
  for (const char* text : {"", "Unknown", "123 456", "1000000000", "nan", "inf"}) {
    const JobEnd end(text);
    TimeLimit limit(0, 30, 5);
    BOOST_TEST(!limit.exists(), text);
  }
}

BOOST_AUTO_TEST_CASE(a_limit_within_the_margin_is_refused) {
  const auto refused = [](const auto& make) {
    try {
      make();
    } catch (const trireme::Error& error) {
      return error.code() == trireme::ExitCode::usage && std::string(error.what()).find("run.time_margin") != std::string::npos;
    }
    return false;
  };
  BOOST_TEST(refused([] { TimeLimit limit(20, 30, 0); }));
  TimeLimit(31, 30, 0);
  const long long now = std::time(nullptr);
  const JobEnd end(std::to_string(now + 100));
  setenv("SLURM_JOB_START_TIME", std::to_string(now + 80).c_str(), 1);
  BOOST_TEST(refused([] { TimeLimit limit(0, 30, 0); }));
  setenv("SLURM_JOB_START_TIME", std::to_string(now - 1000).c_str(), 1);
  TimeLimit(0, 30, 0);  // a long job that is nearly over
  unsetenv("SLURM_JOB_START_TIME");
}
