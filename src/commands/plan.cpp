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

int plan_command(const Communicator& comm, const std::vector<std::string>& words) {
  const std::string usage = "trireme plan DECK --ranks N [--memory GIB] [--json] [--section.key=value ...]";
  const Arguments arguments(words, usage, {"ranks", "memory"}, {"json"}, true);
  if (arguments.positionals() > 1) throw usage_error("'{}' is one word too many: a plan is of one deck. Usage: {}", arguments.positional(1, ""), usage);
  const Deck deck = shared_deck(comm, arguments.positional(0, "the deck"), arguments.overrides());
  const std::int64_t ranks = parse_integer(arguments.option("ranks", std::to_string(comm.size())), "--ranks");
  if (ranks < 1 || ranks > 1'000'000) throw usage_error("--ranks {} is out of range. Expected 1 to 1000000. Usage: {}", ranks, usage);
  const PlanReport report(deck, static_cast<int>(ranks));
  if (arguments.flag("json"))
    print_json(comm, report.json());
  else
    log::info("{}", report.text());
  const std::string limit = arguments.option("memory");
  if (limit.empty()) return 0;
  const double bytes = parse_real(limit, "--memory") * 1024 * 1024 * 1024;
  if (static_cast<double>(report.most_memory()) > bytes)
    throw usage_error("the plan does not fit: a rank needs {}, --memory allows {}. Hint: more parallel.spatial, tensor or pipeline, optimizer.shard = true, a smaller "
                      "data.batch, or parallel.micro_batches", human_bytes(static_cast<double>(report.most_memory())), human_bytes(bytes));
  return 0;
}

}  // namespace trireme
