// trireme bench io|kernels|network: measures this machine.
#include "commands/bench.hpp"

#include <algorithm>

#include "base/error.hpp"
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
  if (value > most) throw usage_error("{} = {} is too large; at most {} is possible", name, value, most);
  if (value < least) throw usage_error("{} = {} is too small; at least {} is wanted", name, value, least);
  return value;
}

int bench_command(const Communicator& comm, const std::vector<std::string>& words) {
  const std::string usage = "trireme bench io [DIR] | kernels | network  [--json]";
  if (words.empty()) throw usage_error("what shall be measured? Usage: {}", usage);
  const std::vector<std::string> rest(words.begin() + 1, words.end());
  if (words[0] == "io") return bench_io(comm, rest);
  if (words[0] == "kernels") return bench_kernels(comm, rest);
  if (words[0] == "network") return bench_network(comm, rest);
  const std::vector<std::string> known{"io", "kernels", "network"};
  throw usage_error("unknown bench '{}'; did you mean '{}'? Usage: {}", words[0], nearest(words[0], known), usage);
}

}  // namespace trireme
