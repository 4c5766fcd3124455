// The tasks of a deck: which keys each changes.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "config/deck.hpp"

namespace trireme {

/// One run of a job of many.
struct Task {
  int number = 0;  // from 0
  std::vector<std::pair<std::string, std::string>> changes;  // key, value, in the table's order

  /// "007"
  std::string name() const;
  /// "run.seed=3 optimizer.lr=0.1"; "-" without changes.
  std::string text() const;
};

/// The tasks that task.sweep or task.table (whose content is `table`) describe; without either, `fallback` tasks without changes. Where task.mode is
/// average each gets a run.stream, where it is tournament a run.seed of its own, unless it has one. Usage errors say what does not fit: keys that are
/// none or that tasks may not change (task.*, run.output), a row that is too short. Values are the task's own business. Not collective.
std::vector<Task> task_table(const Deck& deck, const std::string& table, int fallback);

/// Where a task's run directory lies: RUN/tasks/007.
std::filesystem::path task_path(const Deck& deck, const Task& task);

/// The deck of one task: `deck` with the task's changes, its own name and run directory, and no tasks below it. Throws usage errors of its values.
Deck task_deck(const Deck& deck, const Task& task);

}  // namespace trireme
