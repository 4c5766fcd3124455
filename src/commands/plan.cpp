// trireme plan DECK --ranks N [--memory GIB] [--json] [--section.key=value ...]
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "commands/arguments.hpp"
#include "commands/commands.hpp"
#include "commands/deck_file.hpp"
#include "commands/json_output.hpp"
#include "commands/plan_report.hpp"

namespace trireme {

namespace {

int run_plan(const Communicator& comm, const Arguments& arguments) {
  const Deck deck = shared_deck(comm, arguments.operand(0, "the deck"), arguments.overrides());
  const std::int64_t ranks = parse_integer(arguments.option("ranks", std::to_string(comm.size())), "--ranks");
  if (ranks < 1 || ranks > 1'000'000) throw usage_error("--ranks {} is out of range. Expected 1 to 1000000. Usage: {}", ranks, arguments.usage());
  const PlanReport report(deck, static_cast<int>(ranks));
  if (arguments.flag("json"))
    print_json(comm, report.json());
  else
    log::info("{}", report.text());
  const std::string limit = arguments.option("memory");
  if (limit.empty()) return 0;
  const double bytes = parse_real(limit, "--memory") * 1024 * 1024 * 1024;
  if (static_cast<double>(report.most_memory()) > bytes)
    throw usage_error(
        "the plan does not fit in memory: a rank needs {}, but --memory allows {}. Hint: increase parallel.spatial, parallel.tensor, "
        "parallel.pipeline or parallel.micro_batches, set optimizer.shard = true, or reduce data.batch",
        human_bytes(static_cast<double>(report.most_memory())), human_bytes(bytes));
  return 0;
}

}  // namespace

TRIREME_COMMAND(plan) {
  return {.operands = "DECK",
          .help = "Says what each rank holds and sends, and how much memory it needs, before a job is submitted. Runs on one process.",
          .options = {{"ranks", "N", "number of ranks to plan for (default: those that it runs on)"},
                      {"memory", "GIB", "memory of a rank in GiB: exit with code 2 where the plan needs more"},
                      {"json", "", "print one JSON object instead"}},
          .overrides = true,
          .place = 6,
          .run = run_plan};
}

}  // namespace trireme
