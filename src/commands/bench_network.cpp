// trireme bench network: times of messages and all-reduces of several sizes between the ranks of the job, for the models of scripts/scaling and for
// machine files.
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/timer.hpp"
#include "commands/arguments.hpp"
#include "commands/bench.hpp"
#include "commands/json_output.hpp"

namespace trireme {

namespace {

using nlohmann::json;

constexpr int tag = 7;

/// Half of the round-trip time of a message between the first and the last rank; about 0 on the other ranks.
double half_round_trip(const Communicator& comm, std::vector<float>& memory, std::size_t count, int times) {
  const int last = comm.size() - 1;
  const Timer timer;
  for (int i = 0; i < times; ++i) {
    if (comm.rank() == 0) {
      comm.begin_send(memory.data(), count, last, tag).wait();
      comm.begin_receive(memory.data(), count, last, tag).wait();
    } else if (comm.rank() == last) {
      comm.begin_receive(memory.data(), count, 0, tag).wait();
      comm.begin_send(memory.data(), count, 0, tag).wait();
    }
  }
  return timer.seconds() / (2.0 * times);
}

}  // namespace

namespace {

int run_network(const Communicator& comm, const Arguments& arguments) {
  if (comm.size() < 2)
    throw usage_error(
        "bench network measures communication and needs at least 2 ranks; this job has 1. Hint: run it with mpiexec -n 2, one "
        "rank per node on two nodes");
  const auto runs = static_cast<int>(count_option(arguments.option("runs", "15"), "--runs", 5));
  const bool as_json = arguments.flag("json");
  constexpr std::size_t largest = 4 << 20;  // bytes
  std::vector<float> memory(largest / sizeof(float));

  json all{{"bench", "network"}, {"ranks", comm.size()}, {"nodes", 0}, {"runs", runs}, {"messages", json::array()}, {"all_reduces", json::array()}};
  const Communicator node = comm.split_by_node();
  all["nodes"] = comm.all_reduce(node.rank() == 0 ? 1 : 0);
  if (!as_json)
    log::info("bench network: {} ranks on {} node(s); medians of {} runs\n      size   message, first to last rank   all-reduce", comm.size(),
              all["nodes"].get<int>(), runs);
  for (std::size_t bytes = 8; bytes <= largest; bytes *= 4) {
    const std::size_t count = bytes / sizeof(float);
    const int times = bytes < (1 << 16) ? 20 : 4;
    std::vector<double> messages, sums;
    for (int run = -1; run < runs; ++run) {  // the first run is a warmup
      comm.barrier();
      const double message = comm.all_reduce(half_round_trip(comm, memory, count, times), MPI_MAX);
      const double sum = timed(comm,
                               [&] {
                                 for (int i = 0; i < times; ++i) comm.all_reduce(std::span(memory.data(), count));
                               }) /
                         times;
      if (run >= 0) messages.push_back(message), sums.push_back(sum);
    }
    all["messages"].push_back({{"bytes", bytes}, {"seconds", median(messages)}});
    all["all_reduces"].push_back({{"bytes", bytes}, {"seconds", median(sums)}});
    if (!as_json) log::info("{:>10}   {:>24.2f} us   {:>8.2f} us", human_bytes(static_cast<double>(bytes)), median(messages) * 1e6, median(sums) * 1e6);
  }
  if (as_json) print_json(comm, all);
  return 0;
}

}  // namespace

CommandKind bench_network() {
  return {.name = "bench network",
          .operands = "",
          .help = "Measures messages and sums between ranks.",
          .options = {{"runs", "N", "runs of each, at least 5 (default: 15)"}, {"json", "", "print one JSON object instead"}},
          .operands_most = 0,
          .run = run_network};
}

}  // namespace trireme
