#!/usr/bin/env bash
# A run longer than the time limit as jobs that wait for each other, for sites where a job may not requeue itself.
#   jobs/chain.sh LINKS [sbatch's options] jobs/train.sbatch DECK [--section.key=value ...]
# Each link goes on where the one before stopped. When a link fails (any exit code but 0 and 75) the rest is cancelled; when the run is done the links
# that are left find nothing to do. Prints the job ids. All links have one job name, and so one run directory; RUN names another.
set -euo pipefail

usage="usage: jobs/chain.sh LINKS [sbatch's options] jobs/train.sbatch DECK [--section.key=value ...]"
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
  job=${job%%;*}  # the cluster's name may follow
  echo "$job"
done
