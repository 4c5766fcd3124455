// trireme bench io [DIR] [--size MIB] [--state MIB] [--runs N] [--cold] [--json]: compares the shuffled reader with plain H5Dread of the same files, and
// writing a checkpoint with dd. The two take turns, so that other users of the machine disturb both in the same way.
#include "commands/bench_io.hpp"

#include <cstdio>
#include <filesystem>

#include "base/log.hpp"
#include "base/text.hpp"
#include "commands/arguments.hpp"
#include "commands/bench.hpp"
#include "commands/bench_folder.hpp"
#include "commands/json_output.hpp"

namespace trireme {

using nlohmann::json;

namespace {

void print_line(const json& contest) {
  const auto rate = [&](const char* key) { return contest[key].get<double>() / 1e9; };
  const double ratio = contest["ratio"], goal = contest["goal"];
  log::info("  {:<34} {:>8.2f} {:>10.2f} {:>8.2f} {:>8.2f}  {}", contest["what"].get<std::string>(), rate("plain_bytes_per_s"), rate("trireme_bytes_per_s"),
            ratio, goal, ratio >= goal ? "reached" : "missed");
}

}  // namespace

json Contest::json(const std::string& what, std::int64_t bytes, double goal) const {
  const double a = static_cast<double>(bytes) / median(plain), b = static_cast<double>(bytes) / median(trireme);
  return {{"what", what},   {"bytes", bytes}, {"plain_bytes_per_s", a}, {"trireme_bytes_per_s", b},
          {"ratio", b / a}, {"goal", goal},   {"plain_seconds", plain}, {"trireme_seconds", trireme}};
}

namespace {

int run_io(const Communicator& comm, const Arguments& arguments) {
  constexpr std::int64_t mebi = 1 << 20;
  const std::int64_t size = count_option(arguments.option("size", "512"), "--size", 1) * mebi;
  const std::int64_t state = count_option(arguments.option("state", "1024"), "--state", 1) * mebi;
  const auto runs = static_cast<int>(count_option(arguments.option("runs", "5"), "--runs", 3));
  const bool as_json = arguments.flag("json"), cold = arguments.flag("cold");
  const std::filesystem::path parent = arguments.operands() == 1 ? std::filesystem::path(arguments.operand(0, "DIR")) : std::filesystem::temp_directory_path();
  const BenchFolder folder(comm, parent, std::max(2 * size, state));

  if (!as_json) {
    log::info("bench io: {} rank(s), folder {}, medians of {} runs, taking turns", comm.size(), parent.string(), runs);
    log::info("reading: {} in rows of {} bytes in {} shards, {}", human_bytes(static_cast<double>(size)), bench_row_bytes, bench_shards,
              cold ? "not in the page cache (dropped before each run)" : "in the page cache");
    log::info("writing: a checkpoint of {} from all ranks, compared with dd conv=fsync of the same size\n", human_bytes(static_cast<double>(state)));
    log::info("  {:<34} {:>8} {:>10} {:>8} {:>8}", "GB/s", "plain", "trireme", "ratio", "goal");
  }
  json all{{"bench", "io"}, {"ranks", comm.size()},         {"folder", parent.string()}, {"runs", runs},
           {"cold", cold},  {"row_bytes", bench_row_bytes}, {"reading", json::array()}};
  for (const int gzip : {0, 1}) {
    const ReadingBench bench(comm, folder.path(), size, gzip);
    const Contest contest = bench.run(runs, cold);
    all["reading"].push_back(contest.json(gzip == 0 ? "shuffled reading, contiguous" : "shuffled reading, gzip 1", bench.bytes(), 0.8));
    if (!as_json && comm.rank() == 0) print_line(all["reading"].back());
  }
  std::int64_t written = 0;
  const Contest contest = checkpoint_contest(comm, folder.path(), state, runs, written);
  all["checkpoint"] = contest.json("checkpoint", written, 0.7);
  if (as_json)
    print_json(comm, all);
  else if (comm.rank() == 0)
    print_line(all["checkpoint"]);
  return 0;
}

}  // namespace

CommandKind bench_io() {
  return {.name = "bench io",
          .operands = "[DIR]",
          .help = "Measures reading shards and writing checkpoints in DIR (default: the temporary folder) against plain tools.",
          .options = {{"size", "MIB", "MiB of data to read (default: 512)"},
                      {"state", "MIB", "MiB of a checkpoint to write (default: 1024)"},
                      {"runs", "N", "runs of each, at least 3 (default: 5)"},
                      {"cold", "", "drop the page cache before each reading"},
                      {"json", "", "print one JSON object instead"}},
          .operands_most = 1,
          .run = run_io};
}

}  // namespace trireme
