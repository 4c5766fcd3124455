# What the job scripts of this folder share. They source it; it is not run.
#
#   TRIREME         the program (default: build/release/trireme)
#   TRIREME_SITE    a file of sites/ to source first: modules, binding, MPI (the site files set it themselves where a job is submitted)
#   TRIREME_MPI     what srun speaks with MPI (`srun --mpi=list`; default: pmi2, which suits MPICH; empty: the site's default)
#   TRIREME_SRUN    more options for srun, separated by spaces (default: --cpu-bind=cores)
#   TRIREME_HANG_REQUEUES   how often a job that ended because ranks did not arrive (exit code 7) requeues itself (default: 3)
#   TRIREME_CHAIN   1: a link of a chain (chain.sh), which never requeues itself

# This job by the name that means it alone: an element of an array may have the number of the whole.
job=$SLURM_JOB_ID
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID; fi

# Whether this job still stands as the queue wants it: not cancelled, not over its limit, not already on its way back to the queue.
job_is_running() { [ "$(squeue -h -j "$job" -o %T 2>/dev/null)" = RUNNING ]; }

# job_time KNOWN FORMAT: when this job began (%S) or ends (%e), in seconds since 1970. New versions of Slurm tell the job; older ones are asked. Nothing where there
# is no limit.
job_time() {
  if [ -n "$1" ]; then echo "$1"; return; fi
  local when
  when=$(squeue -h -j "$job" -o "$2" 2>/dev/null)
  [[ $when == [0-9]* ]] && date -d "$when" +%s
}

# launch WORDS...: srun with what the site wants. -K1: a rank that dies takes the others with it, rather than leave them waiting. USR1 (and TERM) that
# reach this script go on to all ranks, which then write a checkpoint and exit with 75.
launch() {
  local options=(-K1 --cpus-per-task="$OMP_NUM_THREADS") code step
  [ -n "${TRIREME_MPI-pmi2}" ] && options+=(--mpi="${TRIREME_MPI-pmi2}")
  # shellcheck disable=SC2206  # several options in one variable
  options+=(${TRIREME_SRUN---cpu-bind=cores})
  srun "${options[@]}" "$@" &
  step=$!
  trap 'kill -USR1 "$step" 2>/dev/null' USR1 TERM
  while :; do
    wait "$step"
    code=$?
    kill -0 "$step" 2>/dev/null || break  # else a signal ended the wait, not the step
  done
  trap - USR1 TERM
  return "$code"
}

# train RUN WORDS...: `trireme train WORDS` in run directory RUN, from where it stands, then what the exit code asks for. Does not return.
train() {
  local run=$1 code last
  shift
  if [ -n "${TRIREME_SITE:-}" ]; then . "$TRIREME_SITE" || exit 2; fi
  export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1} OMP_PROC_BIND=${OMP_PROC_BIND:-spread} OMP_PLACES=${OMP_PLACES:-cores}
  SLURM_JOB_END_TIME=$(job_time "${SLURM_JOB_END_TIME:-}" %e) && export SLURM_JOB_END_TIME
  SLURM_JOB_START_TIME=$(job_time "${SLURM_JOB_START_TIME:-}" %S) && export SLURM_JOB_START_TIME
  echo "== $(date -Is) job $job, start ${SLURM_RESTART_COUNT:-0}, ${SLURM_NTASKS:-?} ranks on ${SLURM_JOB_NODELIST:-?}"

  rm -f "$run/exit_code"
  launch "${TRIREME:-build/release/trireme}" train "$@" --run.output="$run" --checkpoint.resume=auto
  code=$?
  # srun's code is that of whatever ended last, perhaps of a rank that -K1 ended while others had left already; the program's own word is this file's.
  last=$(cat "$run/exit_code" 2>/dev/null)
  echo "== $(date -Is) exit code $code, the run's own word: ${last:-none}"
  code=${last:-$code}

  # Ranks that did not arrive: a node may be ill, and another start gets others. Not for ever.
  local hangs=.trireme-hangs-$job count=0
  if [ "$code" -eq 7 ]; then
    count=$(($(cat "$hangs" 2>/dev/null || echo 0) + 1))
    if [ "$count" -gt "${TRIREME_HANG_REQUEUES:-3}" ]; then rm -f "$hangs"; exit 7; fi
    echo "$count" >"$hangs"
    echo "== ranks did not arrive: start $count of at most ${TRIREME_HANG_REQUEUES:-3} more"
  else
    rm -f "$hangs"
    if [ "$code" -ne 75 ]; then exit "$code"; fi
  fi
  if [ "${TRIREME_CHAIN:-0}" = 1 ]; then exit 0; fi  # the next link goes on
  if job_is_running; then scontrol requeue "$job" && exit 0; fi
  exit "$code"
}
