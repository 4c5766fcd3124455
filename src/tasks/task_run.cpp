#include "tasks/task_run.hpp"

#include <unistd.h>

#include <cmath>
#include <csignal>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/stop_signals.hpp"
#include "base/text.hpp"
#include "base/text_file.hpp"
#include "io/record_file.hpp"
#include "run/run_folder.hpp"
#include "run/run_ownership.hpp"
#include "tasks/model_exchange.hpp"
#include "tasks/task_report.hpp"
#include "tasks/task_scheduler.hpp"
#include "tasks/task_table.hpp"
#include "train/trainer.hpp"

namespace trireme {

namespace {

/// Reports the progress of a task to the scheduler, and stops the task's run if others were told to stop; forwards all calls to `inner`.
template <class T>
class TaskHook : public StepHook<T> {
 public:
  TaskHook(TaskScheduler& board, int task, StepHook<T>* inner) : board_(board), task_(task), inner_(inner) {}
  void begin(Trainer<T>& trainer) override {
    if (inner_ != nullptr) inner_->begin(trainer);
  }
  bool before_step(Trainer<T>& trainer) override { return inner_ == nullptr || inner_->before_step(trainer); }
  void after_step(Trainer<T>& trainer) override {
    if (inner_ != nullptr) inner_->after_step(trainer);
    board_.progress(task_, trainer.progress().step, trainer.total_steps(), trainer.last_loss());
    // The signal stays pending and is found at the next step, like an external one; all ranks of the group learn of it in that step's reductions.
    if (!told_ && board_.stop_requested()) told_ = true, kill(getpid(), SIGTERM);
  }
  bool may_save(Trainer<T>& trainer, bool due) override { return inner_ != nullptr ? inner_->may_save(trainer, due) : due; }
  void end(Trainer<T>& trainer, bool stopped) override {
    if (inner_ != nullptr) inner_->end(trainer, stopped);
  }
  void release() noexcept override {
    if (inner_ != nullptr) inner_->release();
  }

 private:
  TaskScheduler& board_;
  int task_;
  StepHook<T>* inner_;
  bool told_ = false;
};

struct Group {
  int count, number;
  Communicator ranks, peers;  // of this group; of the ranks with this rank's number in all groups
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
    if (!why.empty()) throw usage_error("task.table '{}' cannot be read: {}. Expected a CSV file with keys of the deck in its first line", file, why);
  });
  return world.broadcast(text);
}

/// Whether the run directory of the task holds the end of this very run. A run whose last test loss is not finite (null) is not done.
bool is_done(const Deck& deck, const Task& task, const nlohmann::json& outcome) {
  if (!outcome.value("ended", false)) return false;
  if (const auto test = outcome.find("test"); test != outcome.end() && test->is_object() && test->contains("loss") && (*test)["loss"].is_null()) return false;
  std::ifstream in(task_path(deck, task) / "deck.ini");
  std::ostringstream saved;
  saved << in.rdbuf();
  try {
    return saved.str() == task_deck(deck, task).resolved();
  } catch (const Error&) {
    return false;  // the task itself reports the error
  }
}

std::unique_ptr<TaskReport> open_job(const Deck& deck, const Communicator& world, const std::vector<Task>& tasks) {
  std::unique_ptr<TaskReport> report;
  world.together([&] {
    if (world.rank() != 0) return;
    const auto path = run_path(deck);
    create_run_folder(path, "tasks", RunKind::tasks);
    report = std::make_unique<TaskReport>(deck, tasks);
    report->write();  // written first, because it marks the owner of the folder
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

/// Average and tournament: if the checkpoints of the tasks are not from the same interval between exchanges (the job was killed while it wrote them),
/// all tasks go back to the newest interval for which all have one. Later checkpoints are removed, so that each run finds the earlier one. Collective
/// over the job.
void align_checkpoints(const Deck& deck, const Communicator& world, const Group& group, const Task& task) {
  const ExchangePlan plan(deck);
  // The step of the last exchange of an average: the earliest end that a task recorded. A job that is extended and killed at once has recorded the new
  // end for some of its tasks only, and its finished checkpoints are still of the same state.
  std::int64_t last = std::numeric_limits<std::int64_t>::max();
  world.together([&] {
    if (group.ranks.rank() != 0) return;
    if (const std::int64_t end = outcome_of(task_path(deck, task)).value("total_steps", std::int64_t{-1}); end >= 0) last = end;
  });
  last = world.all_reduce(last, MPI_MIN);
  std::vector<std::pair<std::filesystem::path, std::int64_t>> mine;  // intact ones, newest first, and the number of exchanges before each
  std::vector<std::int64_t> stands;
  world.together([&] {
    if (group.ranks.rank() != 0) return;
    const auto folder = task_path(deck, task);
    for (const auto& file : list_checkpoints(folder)) {
      // An unreadable one ends the job: it may be intact, and checkpoints of other tasks must not be removed because of it.
      if (!with_retries(
               usual_retries, [&] { return damage_of(file); }, true)
               .empty())
        continue;  // the run skips it, too, with a warning
      const auto integers = with_retries(
          usual_retries, [&] { return CheckpointReader(file).content().integers; }, true);
      const auto found = integers.find("step");
      if (found == integers.end()) throw checkpoint_error("checkpoint '{}': /progress has no 'step'", file.string());
      const std::int64_t step = found->second;
      mine.emplace_back(file, 2 * plan.rounds(step) + (plan.averages() && step == last && plan.last_before(step) != step ? 1 : 0));
    }
    stands.push_back(0);  // start over
    for (const auto& [file, at] : mine) stands.push_back(at);
    stands.push_back(-1);  // separator: the next task begins
  });
  const auto all = world.all_gather(std::span<const std::int64_t>(stands));
  std::int64_t agreed = 0;
  for (const std::int64_t candidate : all) {
    int having = 0;
    bool has = false;
    for (const std::int64_t at : all) {
      if (at == -1)
        having += has ? 1 : 0, has = false;
      else
        has = has || at == candidate;
    }
    if (having == group.count) agreed = std::max(agreed, candidate);
  }
  if (group.ranks.rank() == 0)
    for (const auto& [file, at] : mine)
      if (at > agreed) {
        log::warn("task {}: '{}' is removed and its steps are repeated: it is later than an exchange for which other tasks have no checkpoint", task.name(),
                  file.string());
        std::error_code ignored;
        std::filesystem::remove(file, ignored);
      }
  world.barrier();
}

/// Runs one task on this group. Returns its record.
template <class T>
nlohmann::json train(const Deck& whole, const Deck& deck, const Group& group, TaskScheduler& board, int number, bool dry_run) {
  std::optional<ModelExchange<T>> exchange;
  if (whole.text("task.mode") != "independent") exchange.emplace(whole, group.peers);
  TaskHook<T> hook(board, number, exchange ? &*exchange : nullptr);
  Trainer<T> trainer(deck, group.ranks, &hook, dry_run);
  if (dry_run) return {{"status", "built"}};
  const ExitCode code = trainer.run();
  nlohmann::json record{{"status", code == ExitCode::requeue ? "stopped" : "done"}, {"code", static_cast<int>(code)}};
  if (code == ExitCode::numerical) {
    record["status"] = "failed";
    record["message"] = trainer.end_fault();
    log::info("failed: {}", trainer.end_fault());
  }
  if (exchange) record["exchanges"] = exchange->exchanges();
  // Told to stop at its last step: the task is done, but the job ends.
  if (trainer.stop_requested()) record["stop"] = true;
  if (exchange && exchange->held_out_loss()) record["held_out_loss"] = *exchange->held_out_loss(), record["lost"] = exchange->losses();
  return record;
}

nlohmann::json run_task(const Deck& whole, const Group& group, TaskScheduler& board, const Task& task, bool dry_run) {
  const bool speaker = group.ranks.rank() == 0;
  board.tell(task.number, {{"status", "running"}, {"group", group.number}, {"ranks", group.ranks.size()}});
  const log::TaskLogScope voice("task " + task.name(), speaker);
  const bool alone = whole.text("task.mode") == "independent";
  const auto failure = [&](ExitCode code, const std::string& message) -> nlohmann::json {
    // If all ranks of the group throw the error, only the task fails. An error on some ranks leaves the others in calls that never end, so it ends
    // the job.
    if (!alone || !sleeping_barrier(group.ranks, 2)) throw Error(code, fmt::format("task {}: {}", task.name(), message));
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

/// Stores the mean, or the best model, as the checkpoint of the job. On rank 0.
void publish(const Deck& deck, const Task& task) {
  const auto files = list_checkpoints(task_path(deck, task));
  if (files.empty()) return;
  const auto folder = run_path(deck) / "checkpoints", file = folder / files.front().filename(),
             fresh = folder / (".partial-" + files.front().filename().string());
  try {
    std::filesystem::create_directories(folder);
    std::filesystem::copy_file(files.front(), fresh, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::rename(fresh, file);
    for (const auto& other : list_checkpoints(run_path(deck)))
      if (other != file) std::filesystem::remove(other);
  } catch (const std::filesystem::filesystem_error& error) {
    throw checkpoint_error("the model of task {} cannot be copied to '{}': {}. Hint: check permissions and free space", task.name(), file.string(),
                           error.code().message());
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
    throw usage_error(
        "{} rank(s) cannot be divided into {} groups of equal size. Hint: start the job with a multiple of {} ranks, or set task.groups to one "
        "of {}",
        ranks, groups, groups, fmt::join(divisors, ", "));
  return groups;
}

int run_tasks(const Deck& deck, const Communicator& world, bool dry_run) {
  const bool together = deck.text("task.mode") != "independent";
  const int wanted = static_cast<int>(deck.integer("task.groups"));
  if (!together && deck.text("task.sweep").empty() && deck.text("task.table").empty())
    throw usage_error("task.mode = independent needs task.sweep or task.table; neither is set. Hint: task.sweep = run.seed: 1..4");
  const auto tasks = task_table(deck, table_text(deck, world), wanted > 0 ? wanted : world.size());
  const int count = static_cast<int>(tasks.size());
  if (together && wanted > 0 && wanted != count)
    throw usage_error("task.mode = {}: there are {} tasks and task.groups = {}. In this mode each task needs its own group. Hint: remove task.groups",
                      deck.text("task.mode"), count, wanted);
  const Group group = cut(world, group_count(world.size(), wanted, count, together));
  if (together) check_exchange(deck, count);
  const StopSignal blocked;  // from here on, also in the scheduler's thread: a signal between two tasks is found at the first step of the next task
  auto report = open_job(deck, world, tasks);
  log::info("Trireme {}  |  {} tasks ({}) on {} group(s) of {} rank(s)", TRIREME_VERSION, count, deck.text("task.mode"), group.count, group.ranks.size());
  log::info("deck {}  ->  {}", deck.origin(), run_path(deck).string());
  if (report && report->count("done") > 0) log::info("{} of the tasks are already done", report->count("done"));
  if (together && !dry_run) align_checkpoints(deck, world, group, tasks[static_cast<std::size_t>(group.number)]);

  const bool root = group.ranks.rank() == 0;
  TaskScheduler board(world, group.number, root, std::move(report));
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
    while (!stop) {  // every rank of a group learns of a stop in the step's reductions
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
  // Tasks that meet all reach their end, or the job has ended with an error: code 5 here is that of test losses.
  if (together && (code == 0 || code == static_cast<int>(ExitCode::numerical))) {
    const auto all = world.all_gather(std::span<const double>(&held_out, 1));
    std::size_t best = 0;
    for (std::size_t r = 0; r < all.size(); ++r)
      if (all[r] < all[best]) best = r;
    world.together([&] {
      if (world.rank() == 0) publish(deck, tasks[best / static_cast<std::size_t>(group.ranks.size())]);
    });
    if (code == 0 && !std::isfinite(all[best]))
      throw fail(ExitCode::numerical,
                 "the loss on task.held_out is not finite for any task; the checkpoints of all tasks are complete. Hint: check the data "
                 "of task.held_out and their scale");
  }
  if (code == static_cast<int>(ExitCode::requeue)) log::info("stopped; run the same command again to continue");
  return code;
}

}  // namespace trireme
