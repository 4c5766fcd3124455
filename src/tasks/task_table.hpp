// The tasks of a deck, and the keys that each of them changes.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "config/deck.hpp"

namespace trireme {

/// One run of a job of several tasks.
struct Task {
  int number = 0;                                            // from 0
  std::vector<std::pair<std::string, std::string>> changes;  // key, value, in the table's order

  /// "007"
  std::string name() const;
  /// "run.seed=3 optimizer.lr=0.1"; "-" without changes.
  std::string text() const;
};

/// The tasks of task.sweep or task.table (`table` is the content of that file); without either, `fallback` tasks without changes. With task.mode =
/// average each task gets its own run.stream, with tournament its own run.seed, unless it sets one. Usage errors describe the fault: unknown keys,
/// keys that tasks may not change (task.*, run.output), a row that is too short. Values are checked by the task. Not collective.
std::vector<Task> task_table(const Deck& deck, const std::string& table, int fallback);

/// Run directory of a task: RUN/tasks/007.
std::filesystem::path task_path(const Deck& deck, const Task& task);

/// The deck of one task: `deck` with the changes of the task, its own name and run directory, and without tasks. Throws usage errors for bad values.
Deck task_deck(const Deck& deck, const Task& task);

}  // namespace trireme
