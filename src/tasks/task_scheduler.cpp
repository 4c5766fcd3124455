#include "tasks/task_scheduler.hpp"

#include <chrono>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

namespace trireme {

namespace {
constexpr auto pause = std::chrono::milliseconds(2);
constexpr double seconds_between_lines = 10, seconds_between_words = 2;
}  // namespace

TaskScheduler::TaskScheduler(const Communicator& world, int group, bool root, std::unique_ptr<TaskReport> report)
    : world_(world.duplicate()), to_board_(world), from_board_(world), group_(group), root_(root), report_(std::move(report)) {
  const int mine = root ? 1 : 0;
  const auto all = world_.all_gather(std::span<const int>(&mine, 1));
  for (std::size_t r = 0; r < all.size(); ++r)
    if (all[r] != 0) roots_.push_back(static_cast<int>(r));
  if (report_) thread_ = std::thread([this] { keep(); });
}

TaskScheduler::~TaskScheduler() {
  over_ = true;
  if (thread_.joinable()) thread_.join();
}

int TaskScheduler::next() {
  if (!root_ || stop_) return -1;
  ticket_ = -2;
  to_board_.send(0, nlohmann::json{{"ask", group_}}.dump());
  while (ticket_ == -2) {
    look();
    if (ticket_ == -2) std::this_thread::sleep_for(pause);
  }
  return ticket_;
}

void TaskScheduler::tell(int task, const nlohmann::json& changes) {
  if (root_)
    to_board_.send(0, nlohmann::json{{"task", task}, {"changes", changes}, {"group", group_}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void TaskScheduler::progress(int task, std::int64_t step, std::int64_t total_steps, double loss) {
  if (!root_ || since_progress_.seconds() < seconds_between_words) return;
  since_progress_.reset();
  to_board_.send(0, nlohmann::json{{"task", task}, {"step", step}, {"total_steps", total_steps}, {"loss", loss}}.dump());
}

bool TaskScheduler::stop_requested() {
  if (root_ && !stop_) look();
  return stop_;
}

void TaskScheduler::look() {
  while (const auto letter = from_board_.look()) {
    if (letter->text == "stop")
      stop_ = true;
    else
      ticket_ = static_cast<int>(parse_integer(letter->text, "ticket"));
  }
}

int TaskScheduler::finish() {
  // Messages between two ranks stay in order: when each group has sent its completion, all its messages were read.
  if (root_) to_board_.send(0, nlohmann::json{{"farewell", group_}}.dump());
  sleeping_barrier(world_);
  if (thread_.joinable()) thread_.join();
  world_.together([&] {
    if (error_) std::rethrow_exception(error_);
  });
  int code = report_ ? report_->exit_code() : 0;
  if (report_) log::job("{}", report_->table());
  world_.broadcast(std::span(&code, 1));
  return code;
}

void TaskScheduler::keep() {
  try {
    while (!over_ && farewells_ < roots_.size()) {
      while (const auto letter = to_board_.look()) read(*letter);
      if (since_line_.seconds() > seconds_between_lines) log_progress();
      std::this_thread::sleep_for(pause);
    }
  } catch (...) {
    error_ = std::current_exception();
    // Groups that wait for an assignment must not wait forever.
    stopping_ = true;
    while (!over_ && farewells_ < roots_.size()) {
      try {
        while (const auto letter = to_board_.look()) {
          const auto word = nlohmann::json::parse(letter->text, nullptr, false);
          if (word.contains("ask")) from_board_.send(letter->from, "-1");
          if (word.contains("farewell")) ++farewells_;
        }
      } catch (...) {
        return;
      }
      std::this_thread::sleep_for(pause);
    }
  }
}

void TaskScheduler::read(const MessageQueue::Message& letter) {
  const auto word = nlohmann::json::parse(letter.text);
  if (word.contains("ask")) {
    while (next_ < report_->size() && report_->record(next_)["status"] == "done") ++next_;
    from_board_.send(letter.from, std::to_string(stopping_ || next_ >= report_->size() ? -1 : next_++));
    return;
  }
  if (word.contains("farewell")) {
    ++farewells_;
    return;
  }
  const int task = word.at("task").get<int>();
  if (word.contains("step")) {
    running_[task] = {word["step"].get<std::int64_t>(), word["total_steps"].get<std::int64_t>(), word["loss"].is_number() ? word["loss"].get<double>() : 0};
    return;
  }
  const auto& changes = word.at("changes");
  auto kept = changes;
  kept.erase("stop");
  report_->take(task, kept);
  report_->write();
  const std::string status = changes.value("status", ""), name = report_->task(task).name();
  if (status == "running") {
    running_[task];
    log::job("task {} starts on group {}: {}", name, word.value("group", 0), report_->task(task).text());
    return;
  }
  running_.erase(task);
  const auto& record = report_->record(task);
  const auto test = record.value("test", nlohmann::json::object());
  if (status == "failed")
    log::job("task {} failed (code {}): {}", name, record.value("code", 1), record.value("message", ""));
  else if (status == "done")
    log::job("task {} done: {} steps in {}{}{}", name, record.value("step", std::int64_t{0}), human_seconds(record.value("seconds", 0.0)),
             test.contains("loss") && test["loss"].is_number() ? fmt::format(", test loss {:.4f}", test["loss"].get<double>()) : "",
             test.contains("accuracy") ? fmt::format(", accuracy {:.2f} %", 100 * test["accuracy"].get<double>()) : "");
  else if (status == "stopped")
    log::job("task {} stopped at step {} after a complete checkpoint", name, record.value("step", std::int64_t{0}));
  if (changes.value("stop", false) && !stopping_) {
    stopping_ = true;
    for (const int root : roots_)
      if (root != letter.from) from_board_.send(root, "stop");
  }
}

void TaskScheduler::log_progress() {
  since_line_.reset();
  std::string text;
  int shown = 0;
  for (const auto& [task, at] : running_) {
    if (at.total_steps == 0) continue;
    if (++shown > 8) {
      text += fmt::format("  and {} more", running_.size() - 8);
      break;
    }
    text += fmt::format("  |  {} step {}/{} loss {:.4f}", report_->task(task).name(), at.step, at.total_steps, at.loss);
  }
  if (!text.empty()) log::job("{} of {} tasks done{}", report_->count("done"), report_->size(), text);
}

}  // namespace trireme
