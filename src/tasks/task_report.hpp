// Results of the tasks of a job: one record per task, printed as a table and written as files. Used on rank 0 only.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/deck.hpp"
#include "run/run_outcome.hpp"
#include "tasks/task_table.hpp"

namespace trireme {

class TaskReport {
 public:
  /// Reads the tasks.json of an earlier start, if it exists; a checkpoint error if it lists other tasks.
  TaskReport(const Deck& deck, std::vector<Task> tasks);

  /// Merges all non-null entries of `changes` into the record of the task.
  void take(int task, const nlohmann::json& changes);
  /// Writes tasks.json and tasks.csv; a checkpoint error if they cannot be written.
  void write() const;
  const nlohmann::json& record(int task) const { return records_.at(static_cast<std::size_t>(task)); }
  int count(const std::string& status) const;
  int size() const { return static_cast<int>(tasks_.size()); }
  const Task& task(int number) const { return tasks_[static_cast<std::size_t>(number)]; }
  /// The printed table: task, its changes, steps, losses, metric, seconds, status; below it the messages of failed tasks.
  std::string table() const;
  /// 75 if a task was stopped, else the exit code of the first failed task, else 0.
  int exit_code() const;

 private:
  std::filesystem::path folder_;
  std::string token_;  // part of the names of temporary files
  std::vector<Task> tasks_;
  std::vector<nlohmann::json> records_;
  nlohmann::json about_;
};

}  // namespace trireme
