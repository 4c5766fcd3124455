// The queue of tasks: each one is given out once, a stop reaches all groups, and no fault leaves a group waiting.
#include "tasks/task_scheduler.hpp"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "support/errors.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;
namespace fs = std::filesystem;

namespace {

constexpr int count = 11;

/// A job of `count` tasks on the world's ranks, divided into groups of `each` ranks.
class Job {
 public:
  /// `prepare`: what the job knows of its tasks from an earlier start.
  explicit Job(const fs::path& folder, int each = 1, const std::function<void(TaskReport&)>& prepare = {}) {
    const Communicator world = Communicator::world();
    const Deck deck("[run]\noutput = " + folder.string() + "\n[task]\nmode = independent\nsweep = run.seed: 1.." + std::to_string(count) +
                        "\n[data]\ntrain = a\n[model]\ninput = 4\nlayer = linear out=2\n",
                    "job.ini");
    std::unique_ptr<TaskReport> report;
    world.together([&] {
      if (world.rank() == 0) report = std::make_unique<TaskReport>(deck, task_table(deck, "", 0));
      if (report && prepare) prepare(*report);
    });
    root = world.rank() % each == 0;
    scheduler = std::make_unique<TaskScheduler>(world, world.rank() / each, root, std::move(report));
  }
  bool root = false;
  std::unique_ptr<TaskScheduler> scheduler;
};

/// How often each task was given to a group of the job.
std::vector<int> given(const std::vector<int>& mine) {
  const Communicator world = Communicator::world();
  std::vector<int> sum(count, 0);
  for (const int task : mine) ++sum.at(static_cast<std::size_t>(task));
  world.begin_all_reduce(sum.data(), sum.size()).wait();
  return sum;
}

nlohmann::json records_in(const fs::path& folder) {
  std::ostringstream text;
  text << std::ifstream(folder / "tasks.json").rdbuf();
  return nlohmann::json::parse(text.str())["tasks"];
}

/// Takes tasks until none is left.
std::vector<int> work(TaskScheduler& scheduler, const std::function<nlohmann::json(int)>& result) {
  std::vector<int> mine;
  for (int task = scheduler.next(); task >= 0; task = scheduler.next()) {
    mine.push_back(task);
    scheduler.tell(task, {{"status", "running"}});
    scheduler.progress(task, 1, 2, 0.5);
    scheduler.tell(task, result(task));
  }
  return mine;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(task_scheduler)

BOOST_AUTO_TEST_CASE(each_task_is_given_once) {
  const Communicator world = Communicator::world();
  for (int each = 1; each <= world.size(); ++each) {
    if (world.size() % each != 0) continue;
    const TemporaryDirectory folder;
    Job job(folder.path(), each);
    const auto mine = work(*job.scheduler, [](int task) { return nlohmann::json{{"status", "done"}, {"step", 10 + task}}; });
    if (!job.root) BOOST_TEST(mine.empty());
    BOOST_TEST(job.scheduler->next() == -1);  // asked again
    BOOST_TEST(given(mine) == std::vector<int>(count, 1), boost::test_tools::per_element());
    BOOST_TEST(job.scheduler->finish() == 0);
    if (world.rank() != 0) continue;
    const auto records = records_in(folder.path());
    BOOST_REQUIRE(records.size() == static_cast<std::size_t>(count));
    for (int task = 0; task < count; ++task) {
      BOOST_TEST(records[static_cast<std::size_t>(task)]["status"] == "done");
      BOOST_TEST(records[static_cast<std::size_t>(task)]["step"] == 10 + task);
    }
  }
}

BOOST_AUTO_TEST_CASE(tasks_that_are_done_are_not_given_again) {
  const TemporaryDirectory folder;
  Job job(folder.path(), 1, [](TaskReport& report) {
    for (const int task : {0, 3, 4, 10}) report.take(task, {{"status", "done"}});
    report.take(5, {{"status", "failed"}, {"code", 3}});
    report.take(6, {{"status", "stopped"}});
  });
  std::vector<int> expected(count, 1);
  for (const std::size_t task : {0, 3, 4, 10}) expected[task] = 0;
  BOOST_TEST(given(work(*job.scheduler, [](int) { return nlohmann::json{{"status", "done"}}; })) == expected, boost::test_tools::per_element());
  BOOST_TEST(job.scheduler->finish() == 0);
}

BOOST_AUTO_TEST_CASE(the_code_is_that_of_the_first_task_that_failed) {
  const TemporaryDirectory folder;
  Job job(folder.path());
  work(*job.scheduler, [](int task) {
    return task == 4   ? nlohmann::json{{"status", "failed"}, {"code", 5}, {"message", "not finite"}}
           : task == 8 ? nlohmann::json{{"status", "failed"}, {"code", 3}, {"message", "a byte that is no text: \xff"}}
                       : nlohmann::json{{"status", "done"}};
  });
  BOOST_TEST(job.scheduler->finish() == 5);
}

BOOST_AUTO_TEST_CASE(a_stop_reaches_all_groups) {
  const Communicator world = Communicator::world();
  const TemporaryDirectory folder;
  Job job(folder.path());
  TaskScheduler& scheduler = *job.scheduler;
  const int task = scheduler.next();
  BOOST_TEST(task >= 0);
  BOOST_TEST(!scheduler.stop_requested());
  world.barrier();
  if (world.rank() == world.size() - 1) {
    scheduler.tell(task, {{"status", "stopped"}, {"step", 3}, {"stop", true}});
  } else {
    for (int i = 0; i < 30000 && !scheduler.stop_requested(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    BOOST_TEST(scheduler.stop_requested());
    scheduler.tell(task, {{"status", "stopped"}, {"step", 2}, {"stop", true}});
  }
  BOOST_TEST(scheduler.next() == -1);
  BOOST_TEST(scheduler.finish() == static_cast<int>(ExitCode::requeue));
  if (world.rank() != 0) return;
  int stopped = 0, waiting = 0;
  for (const auto& record : records_in(folder.path())) {
    stopped += record["status"] == "stopped";
    waiting += record["status"] == "waiting";
    BOOST_TEST(!record.contains("stop"));
  }
  BOOST_TEST(stopped == world.size());
  BOOST_TEST(waiting == count - world.size());
}

BOOST_AUTO_TEST_CASE(an_error_of_the_scheduler_ends_the_job_on_all_ranks) {
  const Communicator world = Communicator::world();
  const TemporaryDirectory folder;
  Job job(folder.path());
  if (world.rank() == 0) fs::create_directory(folder / "tasks.json");  // the results cannot be written
  world.barrier();
  // No group waits forever for a task.
  const auto mine = work(*job.scheduler, [](int) { return nlohmann::json{{"status", "done"}}; });
  BOOST_TEST(mine.size() <= static_cast<std::size_t>(count));
  check_error([&] { job.scheduler->finish(); }, ExitCode::checkpoint, {"tasks.json"});
}

BOOST_AUTO_TEST_CASE(a_job_that_is_abandoned_ends) {
  const TemporaryDirectory folder;
  Job job(folder.path());
  job.scheduler.reset();  // without finish(), as after an exception
  Communicator::world().barrier();
}

BOOST_AUTO_TEST_SUITE_END()
