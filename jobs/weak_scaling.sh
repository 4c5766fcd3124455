#!/usr/bin/env bash
# Weak scaling through the queue: a job for each number of ranks, the batch growing with them, then a report. Run where jobs are submitted.
#   jobs/weak_scaling.sh DECK [--ranks 1,2,4] [--sbatch '-p batch -t 30'] [--wait] [...]     the options of scripts/scaling
# The same command again writes the report, or submits what did not finish.
exec "$(dirname "$0")/../scripts/scaling" weak "$@" --slurm
