// The list of commands, and the help.
#include <algorithm>
#include <cstdio>

#include "base/error.hpp"
#include "base/text.hpp"
#include "commands/commands.hpp"
#include "commands/shard.hpp"
#include "config/deck.hpp"
#include "layers/registry.hpp"

namespace trireme {

namespace {

struct Command {
  const char* name;
  const char* usage;
  const char* help;
  int (*run)(const Communicator&, const std::vector<std::string>&);
};

const Command commands[] = {
    {"train", "DECK [--section.key=value ...] [--trace] [--profile] [--dry-run]", "trains, or continues where the run directory stands", train_command},
    {"evaluate", "CHECKPOINT | --ensemble CHECKPOINT,... [--data WHERE] [--json]", "exact loss and metrics; confusion matrix for classes", evaluate_command},
    {"predict", "CHECKPOINT | --ensemble CHECKPOINT,... --data WHERE --out FILE.h5 [--force]", "writes the network's output for every sample, in order", predict_command},
    {"shard", "digits|fields|idx|cifar10|csv [SOURCE] --out DIR --shards N", "makes a sharded HDF5 data set; shard --help tells more", shard_command},
    {"inspect", "PATH [--full] [--statistics] [--json]", "what a shard, data set, deck or checkpoint holds; verifies checksums", inspect_command},
    {"plan", "DECK --ranks N [--memory GIB] [--json] [--section.key=value ...]", "who holds and sends what on N ranks, before a job is submitted", plan_command},
    {"bench", "io [DIR] [--size MIB] [--state MIB] [--runs N] [--cold] [--json] | kernels|network [--runs N] [--json]", "measures this machine", bench_command},
    {"help", "[deck]", "this list; `help deck` prints the deck reference", help_command},
};

void print_help() {
  std::printf("Trireme trains neural networks on supercomputers.\n\n");
  for (const auto& command : commands) std::printf("  trireme %-9s %s\n  %*s%s\n", command.name, command.usage, 18, "", command.help);
  std::printf(
      "\nRun it under mpiexec or srun for several ranks. A CHECKPOINT is a file or a run directory (its newest whole checkpoint);\n"
      "in an ensemble also the run directory of a job of tasks: the newest of each.\n"
      "Exit codes: 0 done, 1 internal, 2 usage or deck, 3 data, 4 checkpoint, 5 loss not finite, 7 ranks did not arrive (run.hang_timeout), \n"
      "75 stopped early with a whole checkpoint: start the same command again, 76 another run took the run directory over.\n");
}

}  // namespace

int run_command(const Communicator& comm, const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h") {
    if (comm.rank() == 0) print_help();
    return words.empty() ? static_cast<int>(ExitCode::usage) : 0;
  }
  const auto found = std::ranges::find_if(commands, [&](const Command& command) { return words[0] == command.name; });
  if (found == std::end(commands)) {
    std::vector<std::string> names;
    for (const auto& command : commands) names.emplace_back(command.name);
    throw usage_error("unknown command '{}'; did you mean '{}'? Known: {}", words[0], nearest(words[0], names), fmt::join(names, ", "));
  }
  const std::vector<std::string> rest(words.begin() + 1, words.end());
  if (found->run != shard_command && !rest.empty() && (rest[0] == "--help" || rest[0] == "-h")) {
    if (comm.rank() == 0) std::printf("trireme %s %s\n%s\n", found->name, found->usage, found->help);
    return 0;
  }
  return found->run(comm, rest);
}

bool asks_for_help(const std::vector<std::string>& words) {
  return words.empty() || words[0] == "help" || std::ranges::any_of(words, [](const std::string& word) { return word == "--help" || word == "-h"; });
}

int help_command(const Communicator& comm, const std::vector<std::string>& words) {
  if (comm.rank() != 0) return 0;
  if (!words.empty() && words[0] == "deck")
    std::printf("# The deck\n\n%s\n%s", deck_reference().c_str(), layer_reference().c_str());
  else
    print_help();
  return 0;
}

}  // namespace trireme
