# Functions and paths that the scripts share. Source this file; do not run it.

TRIREME_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TRIREME_CACHE=${TRIREME_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/trireme}
export TRIREME_ROOT TRIREME_CACHE

if [ -t 1 ]; then _bold=$'\e[1m'; _dim=$'\e[2m'; _red=$'\e[31m'; _off=$'\e[0m'; else _bold=""; _dim=""; _red=""; _off=""; fi

say()  { printf '%s\n' "$*"; }
die()  { printf '%serror:%s %s\n' "$_red" "$_off" "$*" >&2; exit 1; }

# step TITLE COMMAND...: prints the title, runs the command, and prints the time.
step() {
  local title=$1 start end; shift
  printf '%s==> %s%s\n' "$_bold" "$title" "$_off"
  start=$(date +%s.%N)
  "$@" || die "'$title' failed (command: $*)"
  end=$(date +%s.%N)
  printf '%s    %s: %.1f s%s\n' "$_dim" "$title" "$(echo "$end $start" | awk '{print $1-$2}')" "$_off"
}

# quietly LOG COMMAND...: runs the command with its output in a log; prints the end of the log if the command fails.
quietly() {
  local log=$1; shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    die "command failed: $* (complete output: $log)"
  fi
}

# Prints the files of the sources that match the patterns, each followed by a zero byte. In a checkout: those that git knows or would add. In an unpacked
# archive without .git: all but what is built or written there.
source_files() { # PATTERN...
  if [ -e "$TRIREME_ROOT/.git" ] && command -v git >/dev/null; then
    git -C "$TRIREME_ROOT" ls-files -z --cached --others --exclude-standard -- "$@" |
      (cd "$TRIREME_ROOT" && while IFS= read -r -d '' file; do [ -f "$file" ] && printf '%s\0' "$file"; done; true)
  else
    local tests=() pattern
    for pattern in "$@"; do tests+=(-o -path "./$pattern"); done
    (cd "$TRIREME_ROOT" && find . \( -path ./build -o -path ./data -o -path ./runs -o -path ./site -o -name __pycache__ \) -prune -o -type f \( "${tests[@]:1}" \) -printf '%P\0')
  fi
}

# Prints the first Python that has matplotlib, h5py and numpy. Fails if there is none.
plot_python() {
  local p
  for p in "${TRIREME_PYTHON:-}" python3 /usr/bin/python3; do
    [ -n "$p" ] && command -v "$p" >/dev/null 2>&1 && "$p" -c 'import matplotlib, h5py, numpy' >/dev/null 2>&1 && { command -v "$p"; return 0; }
  done
  return 1
}

# Prints the files that match the patterns and differ from a commit, committed or not. $1: the commit; empty: where this branch left main, or on main the last
# commit. Prints nothing without an earlier commit. Fails outside of a git checkout.
changed_files() { # COMMIT PATTERN...
  local since=$1 base
  shift
  cd "$TRIREME_ROOT"
  if ! [ -e .git ] || ! command -v git >/dev/null; then say "this is no git checkout, so nothing tells what changed. Hint: name the files" >&2; return 1; fi
  if [ -z "$since" ]; then
    for base in origin/main main HEAD~1; do
      since=$(git merge-base "$base" HEAD 2>/dev/null) && [ "$since" != "$(git rev-parse HEAD)" ] && break
      since=""
    done
    [ -n "$since" ] || return 0
  fi
  if ! git rev-parse -q --verify "$since^{commit}" >/dev/null; then say "'$since' is no commit of this repository" >&2; return 1; fi
  { git diff --name-only --diff-filter=d "$since" -- "$@"; git ls-files --others --exclude-standard -- "$@"; } | sort -u
}

# Prints the mkdocs that has the theme material: that on PATH, or that of scripts/setup --checks. Fails if there is none.
find_mkdocs() {
  local p
  for p in mkdocs "$TRIREME_CACHE/mkdocs/bin/mkdocs"; do
    p=$(command -v "$p") && "$p" --version 2>/dev/null | grep -q ' 1\.[6-9]' && "$(sed -n '1s/^#!//p' "$p")" -c 'import material' 2>/dev/null && { echo "$p"; return 0; }
  done
  return 1
}

# Number of cores of this process. nproc alone would print OMP_NUM_THREADS if that is set.
cores() { env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || echo 2; }

# Number of parallel compile jobs: one per core, but at most one per 1.5 GiB of memory.
build_jobs() {
  local most mem
  most=$(cores)
  mem=$(awk '/MemAvailable/{print int($2/1572864)}' /proc/meminfo 2>/dev/null || echo "$most")
  [ "$mem" -lt 1 ] && mem=1
  [ "$mem" -lt "$most" ] && echo "$mem" || echo "$most"
}

# Prints the folder in the cache for Kokkos with this compiler and CPU. $1: openmp | cuda
kokkos_cache_dir() {
  local backend=$1 id
  id=$( { echo "kokkos-$KOKKOS_VERSION $backend"; "${CXX:-g++}" -dumpfullversion -dumpmachine; grep -m1 '^flags' /proc/cpuinfo;
          [ "$backend" = cuda ] && nvcc --version | tail -n 2; } 2>/dev/null | sha256sum | cut -c1-12)
  echo "$TRIREME_CACHE/kokkos-$KOKKOS_VERSION-$backend-$id"
}
KOKKOS_VERSION=4.7.00

# Whether the user provides a Kokkos. Then the scripts build none.
kokkos_is_given() { [ -n "${Kokkos_ROOT:-}" ] || [ -n "${Kokkos_DIR:-}" ] || [[ "${CMAKE_PREFIX_PATH:-}" == *[Kk]okkos* ]]; }

# Adds nvcc to PATH if the toolkit is in its usual folder.
find_nvcc() {
  command -v nvcc >/dev/null && return 0
  local dir
  for dir in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda; do
    if [ -n "$dir" ] && [ -x "$dir/bin/nvcc" ]; then export PATH=$dir/bin:$PATH; return 0; fi
  done
  return 1
}

# Runs scripts/setup; without output if Kokkos is already built. $1: openmp | cuda
ensure_setup() {
  local backend=$1 options=()
  [ "$backend" = cuda ] && options=(--cuda)
  if kokkos_is_given || [ -f "$(kokkos_cache_dir "$backend")/.complete" ]; then
    quietly "$TRIREME_CACHE/log/setup.log" "$TRIREME_ROOT/scripts/setup" "${options[@]}"
  else
    "$TRIREME_ROOT/scripts/setup" "${options[@]}"
  fi
}
