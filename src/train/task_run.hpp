// A job of many tasks: the ranks are cut into groups of equal size, and each group trains one task at a time, a run of its own in RUN/tasks/NUMBER.
//
//   RUN/deck.ini, log.txt     the whole job's
//   RUN/tasks.json, tasks.csv what became of each task, rewritten whenever one begins or ends
//   RUN/tasks/000...          run directories
//   RUN/checkpoints           average: the mean; tournament: the best model on task.held_out (a copy of its task's last checkpoint)
//
// independent: groups take tasks from a queue. A task's error is told in the tables and the others go on, if all ranks of its group meet it; an error of
// some ranks of a group only ends the job. Started again, the job skips what is done, continues what was stopped, and tries again what failed.
// average, tournament: one group a task, all at once (model_exchange.hpp); an error of any ends the job, since the others' models depend on it.
#pragma once

#include "comm/communicator.hpp"
#include "config/deck.hpp"

namespace trireme {

/// How many groups `ranks` ranks are cut into: `wanted`, or with 0 the largest number that divides them and is no more than `tasks` (all of them where
/// `exact`). Usage errors say which numbers fit.
int group_count(int ranks, int wanted, int tasks, bool exact);

/// Runs all tasks of a deck whose task.mode is not none. Collective over the job. Returns its exit code: 0 when all are done, 75 when some were stopped,
/// else that of the first that failed. `dry_run`: everything is built, nothing trained.
int run_tasks(const Deck& deck, const Communicator& world, bool dry_run);

}  // namespace trireme
