#include "tasks/task_report.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "io/record_file.hpp"
#include "run/run_directory.hpp"
#include "run/run_ownership.hpp"

namespace trireme {

namespace {

std::string dumped(const nlohmann::json& object, int indent) { return object.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace); }

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string field = "\"";
  for (const char c : text) {
    if (c == '"') field += c;
    field += c;
  }
  field += '"';
  return field;
}

std::string number(const nlohmann::json& record, const char* key, double factor = 1, const char* format = "{:.4f}") {
  const auto found = record.find(key);
  if (found == record.end() || !found->is_number()) return "-";
  const double value = factor * found->get<double>();
  return fmt::format(fmt::runtime(format), value);
}

nlohmann::json changes_of(const Task& task) {
  nlohmann::json changes = nlohmann::json::object();
  for (const auto& [key, value] : task.changes) changes[key] = value;
  return changes;
}

}  // namespace

TaskReport::TaskReport(const Deck& deck, std::vector<Task> tasks) : folder_(run_path(deck)), token_(new_run_token()), tasks_(std::move(tasks)) {
  about_ = {{"name", deck.text("run.name")}, {"mode", deck.text("task.mode")}};
  for (const Task& task : tasks_)
    records_.push_back({{"task", task.name()}, {"changes", changes_of(task)}, {"directory", fmt::format("tasks/{}", task.name())}, {"status", "waiting"}});
  const auto file = folder_ / "tasks.json";
  const auto text = read_record(file);
  if (!text) return;
  const auto before = nlohmann::json::parse(*text, nullptr, false);
  if (!before.is_object() || !before.contains("tasks") || !before["tasks"].is_array())
    throw checkpoint_error("'{}' is not a list of tasks. Hint: set run.output to another folder, or remove the file", file.string());
  const auto refuse = [&](const std::string& what) {
    return checkpoint_error(
        "run directory '{}' belongs to a job with other tasks: {}. Hint: start it with its original task.mode, task.sweep or "
        "task.table, or set run.output to another folder",
        folder_.string(), what);
  };
  const std::size_t stored = before["tasks"].size();
  if (before.value("mode", "") != about_["mode"]) throw refuse(fmt::format("task.mode was {}, now it is {}", before.value("mode", ""), deck.text("task.mode")));
  // Tasks that meet depend on each other: with one task more, all results change.
  if (about_["mode"] != "independent" && stored != tasks_.size())
    throw checkpoint_error(
        "run directory '{}' belongs to a job with another number of tasks: it had {}, now there are {}. With task.mode = {} every task "
        "changes the results of all others. Hint: start the job again with {} groups of ranks (task.groups; 0: one per rank), or set "
        "run.output to another folder",
        folder_.string(), stored, tasks_.size(), deck.text("task.mode"), stored);
  // A queue may have more tasks than before, after the known ones.
  for (std::size_t i = 0; i < stored; ++i) {
    const auto changes = before["tasks"][i].value("changes", nlohmann::json::object());
    if (i >= tasks_.size()) throw refuse(fmt::format("it had {} tasks, now there are {}", stored, tasks_.size()));
    if (changes != records_[i]["changes"])
      throw refuse(fmt::format("task {} was {}, now it is {}", tasks_[i].name(), dumped(changes, -1), dumped(records_[i]["changes"], -1)));
  }
}

void TaskReport::take(int task, const nlohmann::json& changes) {
  auto& record = records_.at(static_cast<std::size_t>(task));
  for (const auto& [key, value] : changes.items())
    if (!value.is_null()) record[key] = value;
}

int TaskReport::count(const std::string& status) const {
  return static_cast<int>(std::ranges::count_if(records_, [&](const auto& record) { return record["status"] == status; }));
}

void TaskReport::write() const {
  nlohmann::json all = about_;
  all["tasks"] = records_;
  replace_record(folder_ / "tasks.json", token_, fmt::format("{}\n", dumped(all, 1)));

  std::vector<std::string> keys, metrics;
  const auto collect = [](std::vector<std::string>& names, const nlohmann::json& object) {
    for (const auto& [key, value] : object.items())
      if (std::ranges::find(names, key) == names.end()) names.push_back(key);
  };
  for (const auto& record : records_) {
    collect(keys, record["changes"]);
    if (record.contains("test")) collect(metrics, record["test"]);
  }
  const auto cell = [](const nlohmann::json& object, const std::string& key) {
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? "" : quoted(found->is_string() ? found->get<std::string>() : found->dump());
  };
  std::string csv = "task";
  for (const auto& key : keys) csv += fmt::format(",{}", quoted(key));
  csv += ",status,code,step,train_loss";
  for (const auto& metric : metrics) csv += fmt::format(",test_{}", metric);
  csv += ",held_out_loss,seconds,parameters_sha256,message\n";
  for (const auto& record : records_) {
    csv += record["task"].get<std::string>();
    for (const auto& key : keys) csv += fmt::format(",{}", cell(record["changes"], key));
    for (const char* key : {"status", "code", "step", "train_loss"}) csv += fmt::format(",{}", cell(record, key));
    for (const auto& metric : metrics) csv += fmt::format(",{}", cell(record.value("test", nlohmann::json::object()), metric));
    for (const char* key : {"held_out_loss", "seconds", "parameters_sha256", "message"}) csv += fmt::format(",{}", cell(record, key));
    csv += "\n";
  }
  replace_record(folder_ / "tasks.csv", token_, csv);
}

std::string TaskReport::table() const {
  bool classes = false, held_out = false;
  for (const auto& record : records_) {
    classes = classes || record.value("test", nlohmann::json::object()).contains("accuracy");
    held_out = held_out || record.contains("held_out_loss");
  }
  std::vector<std::vector<std::string>> rows{{"task", "changes", "steps", "train loss", "test loss", classes ? "accuracy %" : "MAE", "seconds", "status"}};
  if (held_out) rows[0].insert(rows[0].begin() + 4, "held-out");
  std::string messages;
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    const auto& record = records_[i];
    const auto test = record.value("test", nlohmann::json::object());
    auto& row =
        rows.emplace_back(std::vector<std::string>{tasks_[i].name(), tasks_[i].text(), number(record, "step", 1, "{:.0f}"), number(record, "train_loss"),
                                                   number(test, "loss"), classes ? number(test, "accuracy", 100, "{:.2f}") : number(test, "mae", 1, "{:.4g}"),
                                                   number(record, "seconds", 1, "{:.1f}"), record["status"].get<std::string>()});
    if (held_out) row.insert(row.begin() + 4, number(record, "held_out_loss"));
    if (record["status"] == "failed")
      messages += fmt::format("\ntask {} failed (code {}): {}", tasks_[i].name(), record.value("code", 1), record.value("message", ""));
  }
  std::vector<std::size_t> widths(rows[0].size());
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c)
      line += c == 1 || c + 1 == row.size() ? fmt::format("{:<{}}  ", row[c], widths[c]) : fmt::format("{:>{}}  ", row[c], widths[c]);
    line.resize(line.find_last_not_of(' ') + 1);
    text += text.empty() ? line : fmt::format("\n{}", line);
  }
  return text + messages;
}

int TaskReport::exit_code() const {
  if (count("done") + count("built") == size()) return 0;
  for (const auto& record : records_)
    if (record["status"] == "stopped" || record["status"] == "waiting" || record["status"] == "running") return static_cast<int>(ExitCode::requeue);
  for (const auto& record : records_)
    if (record["status"] == "failed") return record.value("code", static_cast<int>(ExitCode::internal));
  return static_cast<int>(ExitCode::internal);
}

}  // namespace trireme
