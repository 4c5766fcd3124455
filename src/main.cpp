// trireme COMMAND ...: the program. MPI and Kokkos live here; an error on any rank ends the job with one message and a documented code.
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/printable.hpp"
#include "base/stop_signals.hpp"
#include "comm/communicator.hpp"
#include "comm/environment.hpp"
#include "commands/commands.hpp"
#include "commands/kokkos_runtime.hpp"
#include "process_start.hpp"

int main(int argc, char** argv) {
  using namespace trireme;
  try {
    prepare_process(argc, argv);
    std::optional<StopSignalsBlocked> starting(std::in_place);  // threads that MPI and Kokkos start are not for signals
    std::optional<StopSignal> stops;
    if (trains(argc, argv)) stops.emplace();  // from here on a signal is kept for the first step, whatever handlers MPI installs
    Environment environment(argc, argv);
    log::open(environment.rank());
    // A launcher may end all ranks once one has left with an error: the others' code is not to become the signal's.
    const auto end_after = [&](const std::exception& error) {
      if (!starting) starting.emplace();
      starting->keep();
      return environment.end_after_error(error);
    };
    try {
      environment.check_launch();
      const Communicator world = Communicator::world();
      const std::vector<std::string> words(argv + 1, argv + argc);
      std::optional<KokkosRuntime> kokkos;
      if (!asks_for_help(words)) kokkos.emplace(world);  // a build for a device gives help on a node without one, too
      if (!stops) starting.reset();
      return run_command(world, words);
    } catch (const std::exception& error) {
      return end_after(error);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "trireme: %s\n", printable(error.what()).c_str());
    return 1;
  }
}
