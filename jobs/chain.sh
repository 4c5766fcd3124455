#!/usr/bin/env bash
# Submits a long run as a chain of dependent jobs, for sites where a job may not requeue itself.
#   jobs/chain.sh LINKS [OPTION OF SBATCH ...] jobs/train.sbatch DECK [--section.key=value ...]
# LINKS is the number of jobs. Each job continues where the previous one stopped. If a job fails (any exit code except 0 and 75), Slurm cancels the rest. When
# the run is complete, the remaining jobs end at once. The script prints the job ids. All jobs have the same name, so they share a run directory; RUN sets
# another one.
set -euo pipefail

usage="usage: jobs/chain.sh LINKS [OPTION OF SBATCH ...] jobs/train.sbatch DECK [--section.key=value ...]"
if [ $# -lt 3 ] || ! [[ $1 =~ ^[1-9][0-9]*$ ]]; then echo "$usage" >&2; exit 2; fi
links=$1
shift
export TRIREME_CHAIN=1
job=""
for ((link = 1; link <= links; ++link)); do
  if [ -z "$job" ]; then
    job=$(sbatch --parsable "$@")
  else
    job=$(sbatch --parsable --dependency=afterok:"$job" --kill-on-invalid-dep=yes "$@")
  fi
  job=${job%%;*}  # --parsable may append the name of the cluster
  echo "$job"
done
