// Scheduler of a job of several tasks: assigns tasks to groups, receives their progress, and tells all groups to stop if one was told to stop.
//
// A thread on rank 0 of the job polls for messages from the first rank of each group every few milliseconds, so a free group never waits for the
// computation on rank 0. Messages are JSON; assignments and "stop" are the replies.
#pragma once

#include <atomic>
#include <exception>
#include <map>
#include <memory>
#include <thread>

#include "base/timer.hpp"
#include "comm/message_queue.hpp"
#include "tasks/task_report.hpp"

namespace trireme {

class TaskScheduler {
 public:
  /// `root`: whether this rank is the first of its group, which communicates with the scheduler. Rank 0 passes `report`; other ranks pass null. Tasks
  /// marked done in `report` are not assigned. Collective over the job.
  TaskScheduler(const Communicator& world, int group, bool root, std::unique_ptr<TaskReport> report);
  ~TaskScheduler();
  TaskScheduler(const TaskScheduler&) = delete;
  TaskScheduler& operator=(const TaskScheduler&) = delete;

  // Only on the first rank of each group; no-ops on other ranks.
  /// Returns the next unassigned task; -1: no task is left, or the job is stopping.
  int next();
  /// Sends changes of a task's record. If they contain its status, a line is logged.
  void tell(int task, const nlohmann::json& changes);
  /// Sends the progress of a task for the scheduler's periodic log line; at most one message every few seconds.
  void progress(int task, std::int64_t step, std::int64_t total_steps, double loss);
  /// Whether another group was told to stop.
  bool stop_requested();

  /// Waits until all groups are done (sleeping, without using the core), ends the scheduler and returns the job's exit code. Collective over the job;
  /// rank 0 logs the table.
  int finish();

 private:
  void keep();
  void read(const MessageQueue::Message& letter);
  void log_progress();
  void look();

  Communicator world_;
  MessageQueue to_board_, from_board_;
  int group_;
  bool root_;
  std::unique_ptr<TaskReport> report_;
  // Of the first rank of a group.
  bool stop_ = false;
  int ticket_ = -2;  // last assignment; -2: none received
  Timer since_progress_;
  // Of the scheduler.
  struct Running {
    std::int64_t step = 0, total_steps = 0;
    double loss = 0;
  };
  std::map<int, Running> running_;
  std::vector<int> roots_;
  int next_ = 0;
  std::size_t farewells_ = 0;
  bool stopping_ = false;
  Timer since_line_;
  std::atomic<bool> over_{false};  // the scheduler is abandoned
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace trireme
