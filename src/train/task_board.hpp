// The board of a job of many tasks: it gives them out, hears how they go, and tells all groups when one was told to stop.
//
// A thread on rank 0 of the job looks every few milliseconds for letters of the groups' first ranks, so that a group that is free never waits for what
// rank 0 computes. Letters are JSON; tickets and "stop" go back the same way.
#pragma once

#include <atomic>
#include <exception>
#include <map>
#include <memory>
#include <thread>

#include "base/timer.hpp"
#include "comm/mailbox.hpp"
#include "train/task_report.hpp"

namespace trireme {

class TaskBoard {
 public:
  /// `root`: whether this rank is its group's first and so talks to the board. Rank 0 keeps `report`, which is empty elsewhere. Tasks that `report`
  /// calls done are not given out. Collective over the job.
  TaskBoard(const Communicator& world, int group, bool root, std::unique_ptr<TaskReport> report);
  ~TaskBoard();
  TaskBoard(const TaskBoard&) = delete;
  TaskBoard& operator=(const TaskBoard&) = delete;

  // On the groups' first ranks; no-ops elsewhere.
  /// The next task that nobody has; -1: there is none left, or the job is to stop.
  int next();
  /// Changes of a task's record, which a line of the log tells of when its status is among them.
  void tell(int task, const nlohmann::json& changes);
  /// How far a task is, for the line that the board prints now and then; sent every few seconds at most.
  void progress(int task, std::int64_t step, std::int64_t total_steps, double loss);
  /// Whether another group was told to stop.
  bool told_to_stop();

  /// All groups are done: waits for them without using the core, ends the board and returns the job's exit code. Collective over the job; on rank 0
  /// the table is logged.
  int finish();

 private:
  void keep();
  void read(const Mailbox::Letter& letter);
  void log_progress();
  void look();

  Communicator world_;
  Mailbox to_board_, from_board_;
  int group_;
  bool root_;
  std::unique_ptr<TaskReport> report_;
  // Of a group's first rank.
  bool stop_ = false;
  int ticket_ = -2;  // -2: none came
  Timer since_progress_;
  // Of the board.
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
  std::atomic<bool> over_{false};  // the board is given up
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace trireme
