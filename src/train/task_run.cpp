#include "train/task_run.hpp"

#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/stop_signals.hpp"
#include "base/text.hpp"
#include "base/text_file.hpp"
#include "io/record_file.hpp"
#include "train/model_exchange.hpp"
#include "train/run_ownership.hpp"
#include "train/task_board.hpp"
#include "train/task_report.hpp"
#include "train/task_table.hpp"
#include "train/trainer.hpp"

namespace trireme {

namespace {

/// Tells the board how far a task is, and this task's run when others were told to stop; passes on to `inner`.
template <class T>
class TaskHook : public StepHook<T> {
 public:
  TaskHook(TaskBoard& board, int task, StepHook<T>* inner) : board_(board), task_(task), inner_(inner) {}
  void begin(Trainer<T>& trainer) override {
    if (inner_ != nullptr) inner_->begin(trainer);
  }
  bool before_step(Trainer<T>& trainer) override { return inner_ == nullptr || inner_->before_step(trainer); }
  void after_step(Trainer<T>& trainer) override {
    if (inner_ != nullptr) inner_->after_step(trainer);
    board_.progress(task_, trainer.progress().step, trainer.total_steps(), trainer.last_loss());
    // The signal stays pending and is found at the next step, like one from outside; all ranks of the group hear of it with that step's sums.
    if (!told_ && board_.told_to_stop()) told_ = true, kill(getpid(), SIGTERM);
  }
  bool may_save(Trainer<T>& trainer, bool due) override { return inner_ != nullptr ? inner_->may_save(trainer, due) : due; }
  void end(Trainer<T>& trainer, bool stopped) override {
    if (inner_ != nullptr) inner_->end(trainer, stopped);
  }
  void release() noexcept override {
    if (inner_ != nullptr) inner_->release();
  }

 private:
  TaskBoard& board_;
  int task_;
  StepHook<T>* inner_;
  bool told_ = false;
};

struct Group {
  int count, number;
  Communicator ranks, peers;  // of this group; of this rank's place in all groups
};

Group cut(const Communicator& world, int count) {
  const int size = world.size() / count, number = world.rank() / size, place = world.rank() % size;
  return {count, number, world.split(number, world.rank()), world.split(place, number)};
}

/// The text of task.table on all ranks.
std::string table_text(const Deck& deck, const Communicator& world) {
  const std::string& file = deck.text("task.table");
  if (file.empty()) return {};
  std::string text;
  world.together([&] {
    if (world.rank() != 0) return;
    std::string why = read_text(file, text);
    if (why.empty() && text.empty()) why = "it is empty";
    if (!why.empty()) throw usage_error("task.table '{}' cannot be read: {}. Expected a CSV file whose first line names keys of the deck", file, why);
  });
  return world.broadcast(text);
}

/// Whether the task's run directory holds the end of just this run.
bool is_done(const Deck& deck, const Task& task, const nlohmann::json& outcome) {
  if (!outcome.value("ended", false)) return false;
  std::ifstream in(task_path(deck, task) / "deck.ini");
  std::ostringstream saved;
  saved << in.rdbuf();
  try {
    return saved.str() == task_deck(deck, task).resolved();
  } catch (const Error&) {
    return false;  // the task itself will tell
  }
}

std::unique_ptr<TaskReport> open_job(const Deck& deck, const Communicator& world, const std::vector<Task>& tasks) {
  std::unique_ptr<TaskReport> report;
  world.together([&] {
    if (world.rank() != 0) return;
    const auto path = run_path(deck);
    std::error_code failed;
    std::filesystem::create_directories(path / "tasks", failed);
    if (failed) throw checkpoint_error("run directory '{}' cannot be made: {}. Hint: set run.output to a folder that can be written", path.string(), failed.message());
    report = std::make_unique<TaskReport>(deck, tasks);
    report->write();  // first what says whose folder it is
    const std::string token = new_run_token();
    replace_record(path / "deck.ini", token, deck.resolved());
    const auto log = path / "log.txt";
    replace_record(log, token, read_record(log).value_or(""));
    log::also_to(log);
    for (const Task& task : tasks) {
      auto outcome = outcome_of(task_path(deck, task));
      if (deck.text("task.mode") == "independent" && is_done(deck, task, outcome)) outcome["status"] = "done";
      outcome.erase("ended");
      report->take(task.number, outcome);
    }
    report->write();
  });
  return report;
}

/// Average and tournament: tasks whose checkpoints are not of one interval between exchanges (the job was killed while it wrote them) go back to the
/// newest that all have: later checkpoints are removed, so that each run finds the one before. Collective over the job.
void align_checkpoints(const Deck& deck, const Communicator& world, const Group& group, const Task& task) {
  const ExchangePlan plan(deck);
  std::vector<std::pair<std::filesystem::path, std::int64_t>> mine;  // whole ones, newest first, and the exchanges behind them
  std::vector<std::int64_t> stands;
  world.together([&] {
    if (group.ranks.rank() != 0) return;
    const auto folder = task_path(deck, task);
    const std::int64_t last = outcome_of(folder).value("total_steps", std::int64_t{-1});
    for (const auto& file : list_checkpoints(folder)) {
      try {
        const std::int64_t step = with_retries(usual_retries, [&] {
          const CheckpointReader reader(file);
          return reader.verify().empty() ? reader.content().integers.at("step") : -1;
        });
        if (step < 0) continue;
        mine.emplace_back(file, 2 * plan.rounds(step) + (plan.averages() && step == last && plan.last_before(step) != step ? 1 : 0));
      } catch (const IoError& error) {
        if (error.number() != 0) throw;  // says nothing of the file: what others have must not be removed for it
      } catch (const Error&) {
        continue;  // the run passes it over, too, and says so
      }
    }
    stands.push_back(0);  // to begin anew
    for (const auto& [file, at] : mine) stands.push_back(at);
    stands.push_back(-1);  // the next task's begin
  });
  const auto all = world.all_gather(std::span<const std::int64_t>(stands));
  std::int64_t agreed = 0;
  for (const std::int64_t candidate : all) {
    int having = 0;
    bool has = false;
    for (const std::int64_t at : all) {
      if (at == -1) having += has ? 1 : 0, has = false;
      else has = has || at == candidate;
    }
    if (having == group.count) agreed = std::max(agreed, candidate);
  }
  if (group.ranks.rank() == 0)
    for (const auto& [file, at] : mine)
      if (at > agreed) {
        log::warn("task {}: '{}' lies behind an exchange that other tasks have no checkpoint of; it is removed and its steps are done again", task.name(), file.string());
        std::error_code ignored;
        std::filesystem::remove(file, ignored);
      }
  world.barrier();
}

/// One task on this group. Returns its record.
template <class T>
nlohmann::json train(const Deck& whole, const Deck& deck, const Group& group, TaskBoard& board, int number, bool dry_run) {
  std::optional<ModelExchange<T>> exchange;
  if (whole.text("task.mode") != "independent") exchange.emplace(whole, group.peers);
  TaskHook<T> hook(board, number, exchange ? &*exchange : nullptr);
  Trainer<T> trainer(deck, group.ranks, &hook, dry_run);
  if (dry_run) return {{"status", "built"}};
  const ExitCode code = trainer.run();
  nlohmann::json record{{"status", code == ExitCode::requeue ? "stopped" : "done"}, {"code", static_cast<int>(code)}};
  if (exchange) record["exchanges"] = exchange->exchanges();
  // Told at its last step: done, but the job is to end.
  if (trainer.told_to_stop()) record["stop"] = true;
  if (exchange && exchange->held_out_loss()) record["held_out_loss"] = *exchange->held_out_loss(), record["lost"] = exchange->losses();
  return record;
}

nlohmann::json run_task(const Deck& whole, const Group& group, TaskBoard& board, const Task& task, bool dry_run) {
  const bool speaker = group.ranks.rank() == 0;
  board.tell(task.number, {{"status", "running"}, {"group", group.number}, {"ranks", group.ranks.size()}});
  const log::TaskVoice voice("task " + task.name(), speaker);
  const bool alone = whole.text("task.mode") == "independent";
  const auto failure = [&](ExitCode code, const std::string& message) -> nlohmann::json {
    // Do all ranks of the group meet it? An error of some leaves the others in calls that never end: it is the job's.
    if (!alone || !patient_barrier(group.ranks, 2)) throw Error(code, fmt::format("task {}: {}", task.name(), message));
    log::info("failed: {}", message);
    return {{"status", "failed"}, {"code", static_cast<int>(code)}, {"message", message}};
  };
  nlohmann::json record;
  try {
    const Deck deck = task_deck(whole, task);
    record = deck.text("train.precision") == "fp64" ? train<double>(whole, deck, group, board, task.number, dry_run)
                                                    : train<float>(whole, deck, group, board, task.number, dry_run);
  } catch (const std::exception& error) {
    const Error told = described(error);
    record = failure(told.code(), told.what());
  }
  if (speaker) {
    auto outcome = outcome_of(task_path(whole, task));
    outcome.erase("ended");
    outcome.update(record);
    record = outcome;
  }
  return record;
}

/// The mean, or the best model, as the job's own checkpoint. On rank 0.
void publish(const Deck& deck, const Task& task) {
  const auto files = list_checkpoints(task_path(deck, task));
  if (files.empty()) return;
  const auto folder = run_path(deck) / "checkpoints", file = folder / files.front().filename(), fresh = folder / (".partial-" + files.front().filename().string());
  try {
    std::filesystem::create_directories(folder);
    std::filesystem::copy_file(files.front(), fresh, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::rename(fresh, file);
    for (const auto& other : list_checkpoints(run_path(deck)))
      if (other != file) std::filesystem::remove(other);
  } catch (const std::filesystem::filesystem_error& error) {
    throw checkpoint_error("the model of task {} cannot be copied to '{}': {}. Hint: check permissions and space", task.name(), file.string(), error.code().message());
  }
  log::info("{}: {} (of task {})", deck.text("task.mode") == "average" ? "mean of all tasks" : "best model", file.string(), task.name());
}

}  // namespace

int group_count(int ranks, int wanted, int tasks, bool exact) {
  std::vector<int> divisors;
  for (int n = 1; n <= ranks; ++n)
    if (ranks % n == 0) divisors.push_back(n);
  int groups = wanted > 0 ? wanted : exact ? tasks : 1;
  if (wanted == 0 && !exact)
    for (const int n : divisors)
      if (n <= tasks) groups = n;
  if (ranks % groups != 0)
    throw usage_error("{} rank(s) cannot be cut into {} groups of equal size. Hint: start the job with a multiple of {} ranks, or set task.groups to one of {}",
                      ranks, groups, groups, fmt::join(divisors, ", "));
  return groups;
}

int run_tasks(const Deck& deck, const Communicator& world, bool dry_run) {
  const bool together = deck.text("task.mode") != "independent";
  const int wanted = static_cast<int>(deck.integer("task.groups"));
  if (!together && deck.text("task.sweep").empty() && deck.text("task.table").empty())
    throw usage_error("task.mode = independent, but neither task.sweep nor task.table says what the tasks are. Hint: task.sweep = run.seed: 1..4");
  const auto tasks = task_table(deck, table_text(deck, world), wanted > 0 ? wanted : world.size());
  const int count = static_cast<int>(tasks.size());
  if (together && wanted > 0 && wanted != count)
    throw usage_error("task.mode = {}: there are {} tasks and task.groups = {}. Each task has a group of its own. Hint: leave task.groups out", deck.text("task.mode"),
                      count, wanted);
  const Group group = cut(world, group_count(world.size(), wanted, count, together));
  if (together) check_exchange(deck, count);
  const StopSignal blocked;  // from here on, in the board's thread too: a signal between two tasks waits for the next one's first step
  auto report = open_job(deck, world, tasks);
  log::info("Trireme {}  |  {} tasks ({}) on {} group(s) of {} rank(s)", TRIREME_VERSION, count, deck.text("task.mode"), group.count, group.ranks.size());
  log::info("deck {}  ->  {}", deck.origin(), run_path(deck).string());
  if (report && report->count("done") > 0) log::info("{} of them are done already", report->count("done"));
  if (together) align_checkpoints(deck, world, group, tasks[static_cast<std::size_t>(group.number)]);

  const bool root = group.ranks.rank() == 0;
  TaskBoard board(world, group.number, root, std::move(report));
  double held_out = 0;
  bool stop = false;
  const auto run = [&](const Task& task) {
    const auto record = run_task(deck, group, board, task, dry_run);
    board.tell(task.number, record);
    held_out = record.value("held_out_loss", 0.0);
    stop = record.value("stop", false);
  };
  if (together) {
    run(tasks[static_cast<std::size_t>(group.number)]);
  } else {
    while (!stop) {  // every rank of a group hears of a stop with the step's sums
      int next = board.next();
      group.ranks.broadcast(std::span(&next, 1));
      if (next < 0) break;
      run(tasks[static_cast<std::size_t>(next)]);
    }
  }
  const int code = board.finish();
  if (dry_run) {
    log::info("dry run: nothing was trained");
    return code;
  }
  if (together && code == 0) {
    const auto all = world.all_gather(std::span<const double>(&held_out, 1));
    std::size_t best = 0;
    for (std::size_t r = 0; r < all.size(); ++r)
      if (all[r] < all[best]) best = r;
    world.together([&] {
      if (world.rank() == 0) publish(deck, tasks[best / static_cast<std::size_t>(group.ranks.size())]);
    });
  }
  if (code == static_cast<int>(ExitCode::requeue)) log::info("stopped; start the same command again to continue");
  return code;
}

}  // namespace trireme
