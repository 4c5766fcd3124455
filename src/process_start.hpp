// What a process of this program settles before anything else runs in it.
#pragma once

namespace trireme {

/// Whether these words ask for a training, which heeds stop signals at its steps. Others are ended by them as any program is.
bool trains(int argc, const char* const* argv);

/// Keeps the cores that the launcher gave, before OpenMP binds. Blocks stop signals where trains(); ignores SIGPIPE (a reader that went away must not end a
/// training); opens /dev/null in place of standard streams that are closed, so that no file of the run gets their numbers, and what is printed. The system
/// calls this before the libraries' own beginnings, where it can; once more changes nothing.
void prepare_process(int argc, const char* const* argv);

}  // namespace trireme
