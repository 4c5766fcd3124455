#include "run/watchdog.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.hpp"
#include "base/stop_signals.hpp"

namespace trireme {

namespace fs = std::filesystem;

namespace {

/// Shared memory of the ranks of a node.
struct Shared {
  std::atomic<int> speaker;  // 1: a watchdog of this node writes the report, or one of another node does and this node's status was handed over
};
constexpr std::size_t slot = 256;  // bytes per entry, and of the header
static_assert(sizeof(RankStatus) <= slot && sizeof(Shared) <= slot);

using Name = std::array<char, 64>;

/// Observed status of one rank.
struct Sight {
  double silent = 0;  // seconds since its watchdog's last sign of life
  double for_ = 0;    // seconds in its current activity
  RankStatus::Doing doing = RankStatus::computing;
  std::string place, operation;
};

nlohmann::json to_json(int rank, const Sight& sight) {
  return {{"rank", rank},         {"silent", sight.silent},      {"for", sight.for_}, {"doing", static_cast<int>(sight.doing)},
          {"place", sight.place}, {"operation", sight.operation}};
}

}  // namespace

struct Watchdog::Board {
  Board(const Communicator& comm, double timeout, const fs::path& run_directory, const std::string& run_token)
      : seconds(timeout), tick(std::clamp(timeout / 20, 0.02, 1.0)), rank(comm.rank()), token(run_token), directory(run_directory) {
    const Communicator node = comm.split_by_node();
    mates = node.all_gather(std::span<const int>(&rank, 1));
    place = static_cast<std::size_t>(node.rank());
    leader_of = comm.all_gather(std::span<const int>(&mates.front(), 1));
    Name name{};
    gethostname(name.data(), name.size() - 1);
    const auto names = comm.all_gather(std::span<const char>(name.data(), name.size()));
    for (std::size_t r = 0; r < leader_of.size(); ++r) hosts.emplace_back(names.data() + r * name.size());
    open_memory(node);
  }
  ~Board() {
    if (memory != nullptr) munmap(memory, bytes());
  }
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  std::size_t bytes() const { return slot * (mates.size() + 1); }
  Shared& shared() const { return *static_cast<Shared*>(memory); }
  RankStatus& entry(std::size_t mate) const { return *reinterpret_cast<RankStatus*>(static_cast<char*>(memory) + slot * (mate + 1)); }
  RankStatus& mine() const { return entry(place); }
  bool one_node() const { return mates.size() == leader_of.size(); }

  // POSIX shared memory whose name is removed once all have opened it: nothing is left over, whatever happens to the processes.
  void open_memory(const Communicator& node) {
    const std::string name = fmt::format("/trireme-{}-{}", token, mates.front());
    int descriptor = -1;
    node.together([&] {
      if (node.rank() != 0) return;
      descriptor = shm_open(name.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
      if (descriptor < 0 || ftruncate(descriptor, static_cast<off_t>(bytes())) != 0)
        throw internal_error("shared memory '{}' cannot be created: {}. Hint: run.hang_timeout = 0 turns the watchdog off", name,
                             std::generic_category().message(errno));
    });
    node.together([&] {
      if (descriptor < 0) descriptor = shm_open(name.c_str(), O_RDWR, 0600);
      void* const mapped = descriptor < 0 ? MAP_FAILED : mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
      const int failure = errno;
      if (descriptor >= 0) close(descriptor);
      if (mapped == MAP_FAILED)
        throw internal_error("shared memory '{}' cannot be opened: {}. Hint: run.hang_timeout = 0 turns the watchdog off", name,
                             std::generic_category().message(failure));
      memory = mapped;
    });
    if (node.rank() == 0) shm_unlink(name.c_str());
    mine().beat = steady_nanoseconds();
    node.barrier();
  }

  Sight look_at(std::size_t mate) const {
    const auto copy = entry(mate).read();
    const std::int64_t now = steady_nanoseconds();
    return {1e-9 * static_cast<double>(now - copy.beat), 1e-9 * static_cast<double>(now - copy.since), copy.doing, copy.place(), copy.operation};
  }

  fs::path marker() const { return directory / fmt::format(".hang-{}.partial", token); }  // .partial: removed by the next run
  fs::path report_of(int leader) const { return directory / fmt::format(".hang-{}-{}.partial", token, leader); }

  void write_report() const {
    nlohmann::json all = nlohmann::json::array();
    for (std::size_t m = 0; m < mates.size(); ++m) all.push_back(to_json(mates[m], look_at(m)));
    const fs::path file = report_of(mates.front()), fresh = fs::path(file).concat(".partial");
    std::ofstream(fresh) << all.dump();
    std::error_code ignored;
    fs::rename(fresh, file, ignored);
  }

  /// Collects the status of all ranks; waits some seconds for other nodes.
  std::map<int, Sight> gather() const {
    std::map<int, Sight> seen;
    for (std::size_t m = 0; m < mates.size(); ++m) seen[mates[m]] = look_at(m);
    std::vector<int> leaders = leader_of;
    std::ranges::sort(leaders);
    leaders.erase(std::unique(leaders.begin(), leaders.end()), leaders.end());
    std::erase(leaders, mates.front());
    const auto end = steady_nanoseconds() + static_cast<std::int64_t>(1e9 * (5 + 3 * tick));
    while (!leaders.empty() && steady_nanoseconds() < end) {
      std::erase_if(leaders, [&](int leader) {
        std::ifstream in(report_of(leader));
        const auto all = in ? nlohmann::json::parse(in, nullptr, false) : nlohmann::json();
        if (!all.is_array()) return false;
        for (const auto& one : all)
          seen[one["rank"]] = {one["silent"], one["for"], static_cast<RankStatus::Doing>(one["doing"].get<int>()), one["place"], one["operation"]};
        return true;
      });
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return seen;
  }

  std::string message() const {
    const auto seen = gather();
    const double quiet = std::max(5 * tick, 1.0);  // longer without a sign of life: stopped, dead, or on an overloaded node, which has the same effect
    std::vector<std::string> missing;
    std::map<std::string, std::vector<int>> waiting;
    for (int r = 0; r < static_cast<int>(leader_of.size()); ++r) {
      const auto& host = hosts[static_cast<std::size_t>(r)];
      const auto found = seen.find(r);
      if (found == seen.end()) {
        missing.push_back(fmt::format("rank {} on {}: its node does not respond", r, host));
        continue;
      }
      const Sight& sight = found->second;
      const std::string doing = sight.doing == RankStatus::computing
                                    ? std::string("computing")
                                    : fmt::format("{} {}", sight.doing == RankStatus::waiting ? "in" : "waiting for", sight.operation);
      if (sight.silent > quiet)
        missing.push_back(
            fmt::format("rank {} on {}: no response for {:.1f} s (stopped or dead); last seen in {}, {}", r, host, sight.silent, sight.place, doing));
      else if (sight.doing != RankStatus::waiting)
        missing.push_back(fmt::format("rank {} on {}: in {}, {} for {:.1f} s", r, host, sight.place, doing, sight.for_));
      else
        waiting[fmt::format("{}: {}", sight.place, sight.operation)].push_back(r);
    }
    std::string text = fmt::format("trireme: rank {} of {} waited longer than run.hang_timeout = {:g} s. ", rank, leader_of.size(), seconds);
    text += missing.empty() ? "All ranks wait for each other, or for ranks of other runs.\n" : fmt::format("Not arrived:\n  {}\n", fmt::join(missing, "\n  "));
    for (const auto& [where, ranks] : waiting) text += fmt::format("  waiting in {}: rank(s) {}\n", where, fmt::join(ranks, ", "));
    text += "The job ends; its last checkpoint is intact. Hint: check the ranks that have not arrived; run the same command again to continue\n";
    return text;
  }

  double seconds, tick;
  int rank;
  std::string token;
  fs::path directory;
  std::vector<int> mates;      // ranks of this node, ascending
  std::vector<int> leader_of;  // of each rank: the first rank of its node
  std::vector<std::string> hosts;
  std::size_t place = 0;  // index among the mates
  void* memory = nullptr;
};

namespace {

/// A clock that runs only while this process runs, so that the suspension of a whole job does not count as waiting.
class AwakeClock {
 public:
  /// Call it often. Seconds of the wait that began at `since` (steady clock), in this process's own time.
  double waited(std::int64_t now, std::int64_t since) {
    awake_ += std::min(1e-9 * static_cast<double>(now - looked_), longest);
    looked_ = now;
    if (since != since_) {
      since_ = since;
      // The wait began after the last call; otherwise that call would have seen it.
      began_ = awake_ - std::min(1e-9 * static_cast<double>(now - since), longest);
    }
    return awake_ - began_;
  }

 private:
  static constexpr double longest = 1;  // maximum seconds between two calls that count: beyond this the process was stopped, or its node overloaded
  std::int64_t looked_ = steady_nanoseconds(), since_ = -1;
  double awake_ = 0, began_ = 0;
};

[[noreturn]] void end_job() {
  // A launcher that is told to abort may not read the pipes of its ranks again: give it time to read the message first.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  // MPI itself may hang, so the abort runs on a thread that is not joined.
  std::thread([] { MPI_Abort(MPI_COMM_WORLD, static_cast<int>(ExitCode::hang)); }).detach();
  std::this_thread::sleep_for(std::chrono::seconds(5));
  kill(getpid(), SIGKILL);
  std::_Exit(static_cast<int>(ExitCode::hang));
}

}  // namespace

Watchdog::Watchdog(const Communicator& comm, double seconds, const fs::path& run_directory, const std::string& token)
    : board_(std::make_unique<Board>(comm, seconds, run_directory, token)) {
  write_whereabouts_to(&board_->mine());
  if (seconds <= 0) return;
  const StopSignalsBlocked not_for_this_thread;
  thread_ = std::thread([this] { loop(); });
}

Watchdog::~Watchdog() {
  ends_ = true;
  if (thread_.joinable()) thread_.join();
  write_whereabouts_to(nullptr);
}

void Watchdog::loop() {
  using std::chrono::duration;
  AwakeClock clock;
  while (!ends_) {
    std::this_thread::sleep_for(duration<double>(std::min(board_->tick, 0.1)));
    board_->mine().beat = steady_nanoseconds();
    Sight sight = board_->look_at(board_->place);
    sight.for_ = clock.waited(steady_nanoseconds(), board_->mine().read().since);
    std::error_code ignored;
    if (sight.doing == RankStatus::computing || sight.for_ < board_->seconds) {
      // Look for an alarm of another rank only if this rank is blocked, too.
      if (board_->one_node() || sight.for_ < board_->seconds / 4 || !fs::exists(board_->marker(), ignored)) continue;
      if (board_->shared().speaker.exchange(1) == 0) board_->write_report();
      continue;
    }
    if (board_->shared().speaker.exchange(1) != 0) {
      // Another watchdog of this node writes the report, or has handed over. If the job still exists long after that, it hangs, too.
      if (sight.for_ > board_->seconds + 30) end_job();
      continue;
    }
    std::this_thread::sleep_for(duration<double>(2 * board_->tick));  // wait for ranks that hang a little later
    if (ends_) return;
    board_->mine().beat = steady_nanoseconds();
    // Look again: the awaited operation may have completed.
    const Sight again = board_->look_at(board_->place);
    if (again.doing == RankStatus::computing || clock.waited(steady_nanoseconds(), board_->mine().read().since) < board_->seconds) {
      board_->shared().speaker.store(0);
      continue;
    }
    if (!board_->one_node()) {
      const int made = ::open(board_->marker().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (made < 0 && errno == EEXIST) {
        board_->write_report();
        continue;
      }
      if (made >= 0) ::close(made);
    }
    const std::string text = board_->message();
    std::fputs(text.c_str(), stderr);
    std::fflush(stderr);
    end_job();
  }
}

}  // namespace trireme
