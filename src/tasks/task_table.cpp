#include "tasks/task_table.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "run/run_directory.hpp"

namespace trireme {

namespace {

constexpr std::size_t most_tasks = 100000, most_changes = 1000000;

void check_key(const std::string& key, const std::string& where) {
  std::vector<std::string> names;
  for (const KeySpec& spec : deck_keys()) names.push_back(spec.name);
  if (std::ranges::find(names, key) == names.end())
    throw usage_error("{}: '{}' is not a key of a deck. Hint: {}trireme help deck lists all keys; tasks cannot change layers", where, key,
                      did_you_mean(key, names));
  if (key.starts_with("task.") || key == "run.output" || key == "run.name")
    throw usage_error("{}: tasks cannot change '{}', which applies to the whole job. Hint: remove it", where, key);
}

/// "1..4" -> 1, 2, 3, 4.
std::optional<std::vector<std::string>> range_of(const std::string& text, const std::string& where) {
  const auto dots = text.find("..");
  if (dots == std::string::npos) return std::nullopt;
  const std::int64_t first = parse_integer(text.substr(0, dots), where), last = parse_integer(text.substr(dots + 2), where);
  if (last < first) throw usage_error("{}: the range {} is empty. Expected FIRST..LAST with FIRST <= LAST", where, text);
  if (static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first) >= most_tasks)
    throw usage_error("{}: the range {} has more than {} values, and each value is one task", where, text, most_tasks);
  std::vector<std::string> values;
  for (std::int64_t i = 0; i <= last - first; ++i) values.push_back(std::to_string(first + i));
  return values;
}

std::vector<Task> combinations(const std::string& text) {
  std::vector<Task> tasks(1);
  for (const std::string& part : split(text, ';')) {
    const std::string where = fmt::format("task.sweep, '{}'", part);
    const auto colon = part.find(':');
    if (colon == std::string::npos) throw usage_error("{}: found no ':'. Expected KEY: VALUE, VALUE..., as in run.seed: 1..4; optimizer.lr: 0.1, 0.05", where);
    const std::string key(trim(part.substr(0, colon)));
    check_key(key, where);
    if (std::ranges::any_of(tasks.front().changes, [&](const auto& change) { return change.first == key; }))
      throw usage_error("{}: '{}' is given twice. Hint: give one list of values per key", where, key);
    std::vector<std::string> values;
    for (const std::string& item : split(part.substr(colon + 1), ',')) {
      const auto range = range_of(item, where);
      if (range)
        values.insert(values.end(), range->begin(), range->end());
      else
        values.push_back(item);
      if (values.size() > most_tasks) throw usage_error("{}: more than {} values, and each value is one task", where, most_tasks);
    }
    if (values.empty()) throw usage_error("{}: found no value", where);
    if (tasks.size() * values.size() > most_tasks) throw usage_error("{}: more than {} tasks. Hint: give fewer values", where, most_tasks);
    if (tasks.size() * values.size() * (tasks.front().changes.size() + 1) > most_changes)
      throw usage_error("{}: the tasks change more than {} values of keys in total. Hint: move keys with a single value into the deck", where, most_changes);
    std::vector<Task> longer;
    for (const Task& task : tasks)
      for (const std::string& value : values) {
        longer.push_back(task);
        longer.back().changes.emplace_back(key, value);
      }
    tasks = std::move(longer);
  }
  return tasks;
}

/// The fields of one line: separated by commas; a field in "..." may contain commas, and "" for a quote.
std::vector<std::string> fields_of(std::string_view line, const std::string& where) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"')
      fields.back() += line[++i];
    else if (line[i] == '"')
      quoted = !quoted;
    else if (line[i] == ',' && !quoted)
      fields.emplace_back();
    else
      fields.back() += line[i];
  }
  if (quoted) throw usage_error("{}: a quote is not closed", where);
  for (std::string& field : fields) field = std::string(trim(field));
  return fields;
}

std::vector<Task> rows(const std::string& text, const std::string& file) {
  std::vector<Task> tasks;
  std::vector<std::string> keys;
  std::string_view rest = text;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  for (int number = 1; !rest.empty(); ++number) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trim(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty() || line.front() == '#') continue;
    const std::string where = fmt::format("task.table '{}', line {}", file, number);
    const auto fields = fields_of(line, where);
    if (keys.empty()) {
      if (fields.size() > deck_keys().size()) throw usage_error("{}: found {} keys; a deck has {}", where, fields.size(), deck_keys().size());
      for (const std::string& key : fields) {
        check_key(key, where);
        if (std::ranges::count(fields, key) > 1) throw usage_error("{}: '{}' is given twice", where, key);
      }
      keys = fields;
      continue;
    }
    if (fields.size() != keys.size())
      throw usage_error("{}: found {} field(s), expected {}: one for each of {}. Hint: quote values that contain commas", where, fields.size(), keys.size(),
                        fmt::join(keys, ", "));
    if (tasks.size() == most_tasks) throw usage_error("{}: more than {} tasks", where, most_tasks);
    Task& task = tasks.emplace_back();
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (!fields[i].empty()) task.changes.emplace_back(keys[i], fields[i]);
  }
  if (tasks.empty())
    throw usage_error("task.table '{}' has no tasks. Expected a line of keys, as in run.seed,optimizer.lr, then one line of values per task", file);
  return tasks;
}

bool changes(const Task& task, std::string_view key) {
  return std::ranges::any_of(task.changes, [&](const auto& change) { return change.first == key; });
}

}  // namespace

std::string Task::name() const { return fmt::format("{:03}", number); }

std::string Task::text() const {
  std::string text;
  for (const auto& [key, value] : changes) text += fmt::format("{}{}={}", text.empty() ? "" : " ", key, value);
  return text.empty() ? "-" : text;
}

std::vector<Task> task_table(const Deck& deck, const std::string& table, int fallback) {
  const std::string &sweep = deck.text("task.sweep"), &file = deck.text("task.table"), &mode = deck.text("task.mode");
  if (!sweep.empty() && !file.empty()) throw usage_error("{}: both task.sweep and task.table are given. Hint: keep one", deck.origin());
  std::vector<Task> tasks = !file.empty() ? rows(table, file) : !sweep.empty() ? combinations(sweep) : std::vector<Task>(static_cast<std::size_t>(fallback));
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    Task& task = tasks[i];
    task.number = static_cast<int>(i);
    if (mode == "average") {
      if (changes(task, "run.seed"))
        throw usage_error(
            "task.mode = average: tasks cannot change run.seed, because averaging networks with different initial parameters is meaningless. "
            "Hint: vary run.stream; by default each task has its own");
      if (!changes(task, "run.stream")) task.changes.emplace_back("run.stream", std::to_string(deck.integer("run.stream") + static_cast<std::int64_t>(i)));
    }
    if (mode == "tournament" && !changes(task, "run.seed"))
      task.changes.emplace_back("run.seed", std::to_string(deck.integer("run.seed") + static_cast<std::int64_t>(i)));
  }
  return tasks;
}

std::filesystem::path task_path(const Deck& deck, const Task& task) { return run_path(deck) / "tasks" / task.name(); }

Deck task_deck(const Deck& deck, const Task& task) {
  std::vector<std::string> overrides{"task.mode=none", "task.sweep=", "task.table="};
  // The keys of exchanges stay in the decks of tasks that meet, so that checkpoints tell of a change; for a queue they mean nothing.
  if (deck.text("task.mode") == "independent")
    for (const KeySpec& key : deck_keys())
      if (key.name == "task.every" || key.name == "task.start" || key.name == "task.weights" || key.name == "task.held_out")
        overrides.push_back(key.name + "=" + key.fallback);
  for (const auto& [key, value] : task.changes) overrides.push_back(key + "=" + value);
  overrides.push_back("run.output=" + task_path(deck, task).string());
  overrides.push_back("run.name=" + deck.text("run.name") + "-" + task.name());
  return Deck(deck.resolved(), fmt::format("{} (task {})", deck.origin(), task.name()), overrides);
}

}  // namespace trireme
