# Functions that the job scripts share. The scripts source this file; do not run it. Environment variables:
#
#   TRIREME         the program (default: build/release/trireme)
#   TRIREME_SITE    a file of sites/ to source first: modules, CPU binding, MPI. The site files set it when you source them to submit a job
#   TRIREME_MPI     value of srun's --mpi (see `srun --mpi=list`; default: pmi2, for MPICH; empty: the site's default)
#   TRIREME_SRUN    more options for srun, separated by spaces (default: --cpu-bind=cores)
#   TRIREME_HANG_REQUEUES   how often a job requeues itself after exit code 7 (ranks did not arrive) (default: 3)
#   TRIREME_CHAIN   1: the job is part of a chain (chain.sh) and never requeues itself

# The unique id of this job. An element of a job array may have the same SLURM_JOB_ID as the whole array.
job=$SLURM_JOB_ID
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID; fi

# Whether this job is still running: not cancelled, not over its time limit, not already requeued.
job_is_running() { [ "$(squeue -h -j "$job" -o %T 2>/dev/null)" = RUNNING ]; }

# job_time KNOWN FORMAT: prints the start (%S) or end (%e) of this job in seconds since 1970. New versions of Slurm set a variable (KNOWN); for older versions
# it asks squeue. Prints nothing if there is no time limit.
job_time() {
  if [ -n "$1" ]; then echo "$1"; return; fi
  local when
  when=$(squeue -h -j "$job" -o "$2" 2>/dev/null)
  [[ $when == [0-9]* ]] && date -d "$when" +%s
}

# launch COMMAND...: runs srun with the options of the site. -K1: if a rank dies, srun ends the other ranks, so that they do not wait. The signals USR1 and TERM
# are forwarded to all ranks, which then write a checkpoint and exit with 75.
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
    kill -0 "$step" 2>/dev/null || break  # otherwise a signal ended the wait, but the step is still running
  done
  trap - USR1 TERM
  return "$code"
}

# train RUN ARGUMENT...: runs `trireme train ARGUMENT...` in run directory RUN and resumes from its newest checkpoint. Then acts on the exit code. It does not
# return.
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
  # The exit code of srun may be that of a rank that -K1 ended. The file contains the exit code of the program itself.
  last=$(cat "$run/exit_code" 2>/dev/null)
  echo "== $(date -Is) exit code of srun: $code, exit code of the run: ${last:-none}"
  code=${last:-$code}

  # Exit code 7: ranks did not arrive. A node may be faulty, and a new start may get other nodes. The number of restarts is limited.
  local hangs=.trireme-hangs-$job count=0
  if [ "$code" -eq 7 ]; then
    count=$(($(cat "$hangs" 2>/dev/null || echo 0) + 1))
    if [ "$count" -gt "${TRIREME_HANG_REQUEUES:-3}" ]; then rm -f "$hangs"; exit 7; fi
    echo "$count" >"$hangs"
    echo "== ranks did not arrive: restart $count of at most ${TRIREME_HANG_REQUEUES:-3}"
  else
    rm -f "$hangs"
    if [ "$code" -ne 75 ]; then exit "$code"; fi
  fi
  if [ "${TRIREME_CHAIN:-0}" = 1 ]; then exit 0; fi  # the next job of the chain continues
  if job_is_running; then scontrol requeue "$job" && exit 0; fi
  exit "$code"
}
