# Shared by the scripts of this folder: where things are, how a step is announced.
# Source it; do not run it.

TRIREME_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TRIREME_CACHE=${TRIREME_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/trireme}
export TRIREME_ROOT TRIREME_CACHE

if [ -t 1 ]; then _bold=$'\e[1m'; _dim=$'\e[2m'; _red=$'\e[31m'; _off=$'\e[0m'; else _bold=""; _dim=""; _red=""; _off=""; fi

say()  { printf '%s\n' "$*"; }
die()  { printf '%serror:%s %s\n' "$_red" "$_off" "$*" >&2; exit 1; }

# step "what it does" COMMAND...: announces, runs, and says how long it took.
step() {
  local title=$1 start end; shift
  printf '%s==> %s%s\n' "$_bold" "$title" "$_off"
  start=$(date +%s.%N)
  "$@" || die "'$title' failed (command: $*)"
  end=$(date +%s.%N)
  printf '%s    %s: %.1f s%s\n' "$_dim" "$title" "$(echo "$end $start" | awk '{print $1-$2}')" "$_off"
}

# Runs "$@" with its output in a log; on failure the log's end is shown.
quietly() {
  local log=$1; shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    die "command failed: $* (whole output: $log)"
  fi
}

# The first Python that can draw plots and read HDF5; empty if there is none.
plot_python() {
  local p
  for p in "${TRIREME_PYTHON:-}" python3 /usr/bin/python3; do
    [ -n "$p" ] && command -v "$p" >/dev/null 2>&1 && "$p" -c 'import matplotlib, h5py, numpy' >/dev/null 2>&1 && { command -v "$p"; return 0; }
  done
  return 1
}

# Cores of this process; nproc alone would answer OMP_NUM_THREADS where that is set.
cores() { env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || echo 2; }

# How many parallel compile jobs: one a core, but no more than one for each 1.5 GiB of memory.
build_jobs() {
  local most mem
  most=$(cores)
  mem=$(awk '/MemAvailable/{print int($2/1572864)}' /proc/meminfo 2>/dev/null || echo "$most")
  [ "$mem" -lt 1 ] && mem=1
  [ "$mem" -lt "$most" ] && echo "$mem" || echo "$most"
}

# Installs build and run-time flags for a Kokkos kept in the cache; prints its folder. $1: openmp | cuda
kokkos_cache_dir() {
  local backend=$1 id
  id=$( { echo "kokkos-$KOKKOS_VERSION $backend"; "${CXX:-g++}" -dumpfullversion -dumpmachine; grep -m1 '^flags' /proc/cpuinfo;
          [ "$backend" = cuda ] && nvcc --version | tail -n 2; } 2>/dev/null | sha256sum | cut -c1-12)
  echo "$TRIREME_CACHE/kokkos-$KOKKOS_VERSION-$backend-$id"
}
KOKKOS_VERSION=4.7.00

# Whether the user brought a Kokkos; then none is built.
kokkos_is_given() { [ -n "${Kokkos_ROOT:-}" ] || [ -n "${Kokkos_DIR:-}" ] || [[ "${CMAKE_PREFIX_PATH:-}" == *[Kk]okkos* ]]; }

# Puts nvcc on PATH where the toolkit lies at its usual place.
find_nvcc() {
  command -v nvcc >/dev/null && return 0
  local dir
  for dir in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda; do
    if [ -n "$dir" ] && [ -x "$dir/bin/nvcc" ]; then export PATH=$dir/bin:$PATH; return 0; fi
  done
  return 1
}

# Packages and Kokkos, silently when Kokkos is there already. $1: openmp | cuda
ensure_setup() {
  local backend=$1 options=()
  [ "$backend" = cuda ] && options=(--cuda)
  if kokkos_is_given || [ -f "$(kokkos_cache_dir "$backend")/.complete" ]; then
    quietly "$TRIREME_CACHE/log/setup.log" "$TRIREME_ROOT/scripts/setup" "${options[@]}"
  else
    "$TRIREME_ROOT/scripts/setup" "${options[@]}"
  fi
}
