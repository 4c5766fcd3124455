#!/usr/bin/env bash
# Strong scaling through the queue: a job for each number of ranks, then a report. Run where jobs are submitted.
#   jobs/strong_scaling.sh DECK [--ranks 1,2,4] [--sbatch '-p batch -t 30'] [--wait] [...]     the options of scripts/scaling
# The same command again writes the report, or submits what did not finish.
exec "$(dirname "$0")/../scripts/scaling" strong "$@" --slurm
