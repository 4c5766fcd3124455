#include "process_start.hpp"

#include <fcntl.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/open_output.hpp"
#include "base/stop_signals.hpp"
#include "comm/cpu_placement.hpp"

namespace trireme {

bool trains(int argc, const char* const* argv) {
  if (argc < 2 || std::strcmp(argv[1], "train") != 0) return false;
  for (int i = 2; i < argc; ++i)
    for (const char* other : {"--dry-run", "--help", "-h"})
      if (std::strcmp(argv[i], other) == 0) return false;
  return true;
}

void prepare_process(int argc, const char* const* argv) {
  remember_launch_mask();
  if (trains(argc, argv)) {
    const sigset_t set = stop_signals();
    sigprocmask(SIG_BLOCK, &set, nullptr);
  }
  std::signal(SIGPIPE, SIG_IGN);
  for (int descriptor = 0; descriptor < 3; ++descriptor)  // open() gives the lowest number that is free
    if (fcntl(descriptor, F_GETFD) == -1 && errno == EBADF) {
      if (descriptor == 1) note_closed_output();
      ::open("/dev/null", descriptor == 0 ? O_RDONLY : O_WRONLY);
    }
}

namespace {

// Loading is done by then, but no library has begun: MPI, HDF5 and others take a tenth of a second or more. A sanitizer's library must begin first.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
void at_the_very_start(int argc, char** argv, char**) { prepare_process(argc, argv); }
__attribute__((section(".preinit_array"), used)) void (*const very_start)(int, char**, char**) = at_the_very_start;
#endif

}  // namespace

}  // namespace trireme
