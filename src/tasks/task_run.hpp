// A job of several tasks: the ranks are divided into groups of equal size. Each group trains one task at a time, as a run in RUN/tasks/NUMBER.
//
//   RUN/deck.ini, log.txt     of the whole job
//   RUN/tasks.json, tasks.csv results of all tasks, rewritten when a task starts or ends
//   RUN/tasks/000...          run directories
//   RUN/checkpoints           average: the mean model; tournament: the best model on task.held_out (a copy of its task's last checkpoint)
//
// independent: groups take tasks from a queue. If all ranks of a group throw the same error, the error is recorded in the tables and the other tasks
// continue; an error on only some ranks of a group ends the job. A restarted job skips tasks that are done, continues tasks that were stopped, and
// repeats tasks that failed.
// average, tournament: one group per task, all at the same time (model_exchange.hpp). An error of any task ends the job, because the models of the
// others depend on it.
#pragma once

#include "comm/communicator.hpp"
#include "config/deck.hpp"

namespace trireme {

/// Number of groups of `ranks` ranks: `wanted`, or if that is 0 the largest divisor of `ranks` that is at most `tasks` (exactly `tasks` with
/// `exact`). Usage errors list the possible numbers.
int group_count(int ranks, int wanted, int tasks, bool exact);

/// Runs all tasks of a deck whose task.mode is not none. Collective over the job. Returns the exit code of the job: 0 if all tasks are done, 75 if
/// some were stopped, else the code of the first failed task. `dry_run`: build everything, train nothing.
int run_tasks(const Deck& deck, const Communicator& world, bool dry_run);

}  // namespace trireme
