// What became of the tasks of a job: one record a task, and its forms for people and programs. Rank 0 alone uses it, but for outcome_of.
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

#include "config/deck.hpp"
#include "train/task_table.hpp"

namespace trireme {

/// What the run directory of a task says of it, from its metrics.jsonl: "ended" (whether it reached its end), "step", "total_steps", "train_loss" (mean
/// of the last epoch, else of the last step reported), "test" (metrics), "seconds" (over all restarts that were not killed), "parameters_sha256"; what
/// is not known is left out.
nlohmann::json outcome_of(const std::filesystem::path& run_directory);

class TaskReport {
 public:
  /// Reads the tasks.json of an earlier start, if there is one; a checkpoint error where it tells of other tasks.
  TaskReport(const Deck& deck, std::vector<Task> tasks);

  /// Takes what is not null of `changes` into the task's record.
  void take(int task, const nlohmann::json& changes);
  /// Writes tasks.json and tasks.csv; a checkpoint error where they cannot be written.
  void write() const;
  const nlohmann::json& record(int task) const { return records_.at(static_cast<std::size_t>(task)); }
  int count(const std::string& status) const;
  int size() const { return static_cast<int>(tasks_.size()); }
  const Task& task(int number) const { return tasks_[static_cast<std::size_t>(number)]; }
  /// The table that is printed: task, what it changes, steps, losses, metric, seconds, status; below it the messages of those that failed.
  std::string table() const;
  /// 75 where a task was stopped, else the code of the first that failed, else 0.
  int exit_code() const;

 private:
  std::filesystem::path folder_;
  std::string token_;  // part of the names of files that are half written
  std::vector<Task> tasks_;
  std::vector<nlohmann::json> records_;
  nlohmann::json about_;
};

}  // namespace trireme
