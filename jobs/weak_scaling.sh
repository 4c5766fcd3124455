#!/usr/bin/env bash
# Weak scaling study with Slurm: one job per number of ranks, with a fixed batch size per rank, then a report. Run it on a login node.
#   jobs/weak_scaling.sh DECK [--ranks 1,2,4] [--sbatch '-p batch -t 30'] [--wait] [...]     For all options: scripts/scaling --help
# Run the same command again to get the report, or to submit the runs that did not finish.
exec "$(dirname "$0")/../scripts/scaling" weak "$@" --slurm
