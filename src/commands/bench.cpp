// trireme bench io|kernels|network: benchmarks of this machine.
#include "commands/bench.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/timer.hpp"
#include "commands/commands.hpp"
#include "config/deck.hpp"

namespace trireme {

double median(std::vector<double> values) {
  if (values.empty()) throw internal_error("median of nothing");
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double timed(const Communicator& comm, const std::function<void()>& action) {
  comm.barrier();
  const Timer timer;
  comm.together(action);
  return comm.all_reduce(timer.seconds(), MPI_MAX);
}

std::int64_t count_option(const std::string& text, const std::string& name, std::int64_t least) {
  constexpr std::int64_t most = 1'000'000;
  const std::int64_t value = parse_integer(text, name);
  if (value > most) throw usage_error("{} = {} is too large. Expected at most {}", name, value, most);
  if (value < least) throw usage_error("{} = {} is too small. Expected at least {}", name, value, least);
  return value;
}

const std::vector<CommandKind>& benches() {
  static const std::vector<CommandKind> all{bench_io(), bench_kernels(), bench_network()};
  return all;
}

namespace {

std::string bench_help() {
  std::string text = "trireme bench KIND [options]: measures this machine\n\nKIND\n";
  for (const CommandKind& bench : benches()) text += fmt::format("  {:<8} {}\n", bench.name.substr(bench.name.find(' ') + 1), bench.help);
  return text + "\ntrireme bench KIND --help explains the options of a kind.";
}

int run_bench(const Communicator& comm, const std::vector<std::string>& words) {
  std::vector<std::string> names;
  for (const CommandKind& bench : benches()) names.push_back(bench.name.substr(bench.name.find(' ') + 1));
  if (words.empty()) throw usage_error("no KIND given; expected {}. Usage: trireme bench KIND", fmt::join(names, ", "));
  if (words[0] == "--help" || words[0] == "-h") {
    log::info("{}", bench_help());
    return 0;
  }
  const auto found = std::ranges::find(names, words[0]);
  if (found == names.end()) throw usage_error("unknown bench '{}'. Hint: {}Expected {}", words[0], did_you_mean(words[0], names), fmt::join(names, ", "));
  return run_with(comm, benches()[static_cast<std::size_t>(found - names.begin())], {words.begin() + 1, words.end()});
}

}  // namespace

TRIREME_COMMAND(bench) {
  return {.operands = "io [DIR] | kernels | network",
          .help = "Measures this machine: files, kernels, or messages between ranks.",
          .place = 7,
          .run_words = run_bench};
}

}  // namespace trireme
