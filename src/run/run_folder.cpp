#include "run/run_folder.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.hpp"
#include "io/checkpoint_file.hpp"
#include "io/record_file.hpp"

namespace trireme {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

IoError no_folder(const fs::path& path, const std::error_code& error) {
  return IoError(ExitCode::checkpoint,
                 fmt::format("run directory '{}' cannot be read: {}. Hint: check the path and its permissions, or set run.output to "
                             "another folder",
                             path.string(), error.message()),
                 error.value());
}

/// The first line of a file as JSON; discarded if it is not JSON.
json first_line(const fs::path& file) {
  const std::string text = read_record(file).value_or("");
  return json::parse(text.begin(), std::ranges::find(text, '\n'), nullptr, false);
}

bool is_regular(const fs::path& file) {
  std::error_code ignored;
  return fs::is_regular_file(file, ignored);
}

/// Whether a run wrote here. A killed run leaves at least owner.json, its first file.
bool is_a_runs(const fs::path& path) {
  if (is_regular(path / "owner.json")) {
    const json owner = first_line(path / "owner.json");
    if (owner.is_object() && owner.contains("token")) return true;
  }
  if (is_regular(path / "metrics.jsonl")) {
    const json event = first_line(path / "metrics.jsonl");
    if (event.is_object() && event.contains("event")) return true;
  }
  if (is_regular(path / "tasks.json")) {
    const json tasks = json::parse(read_record(path / "tasks.json").value_or(""), nullptr, false);
    if (tasks.is_object() && tasks.contains("tasks")) return true;
  }
  return !list_checkpoints(path).empty();
}

bool is_own_output(const fs::path& file) {
  struct stat one {
  }, other{};
  if (::stat(file.c_str(), &one) != 0) return false;
  return std::ranges::any_of(std::vector{STDOUT_FILENO, STDERR_FILENO},
                             [&](int stream) { return ::fstat(stream, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino; });
}

/// Whether a folder holds nothing but folders, as those that new/.. creates.
bool holds_no_file(const fs::path& folder) {
  std::error_code error;
  fs::recursive_directory_iterator at(folder, error);
  for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error))
    if (!fs::is_directory(at->symlink_status(error))) return false;
  return !error;
}

/// Harmless entries: files of a run that was killed at its start, the launcher's redirected output of this run, empty files with other names, and folders
/// without files.
bool is_harmless(const fs::path& entry) {
  static const std::vector<std::string> records{"deck.ini", "log.txt", "metrics.jsonl", "owner.json", "trace.json", "exit_code", "tasks.json", "tasks.csv"};
  const std::string name = entry.filename().string();
  std::error_code ignored;
  const fs::file_status status = fs::symlink_status(entry, ignored);
  if (fs::is_directory(status)) {
    if (name != "checkpoints" && name != "tasks") return holds_no_file(entry);
    fs::directory_iterator at(entry, ignored);
    for (const fs::directory_iterator end; !ignored && at != end; at.increment(ignored))
      if (!at->path().filename().string().starts_with(".step-")) return false;
    return !ignored;
  }
  if (!fs::is_regular_file(status)) return false;
  if (is_unfinished_record(name) || name.starts_with(".nfs") || is_own_output(entry)) return true;
  return std::ranges::find(records, name) == records.end() && fs::file_size(entry, ignored) == 0 && !ignored;
}

std::vector<fs::path> entries_of(const fs::path& path) {
  return with_retries(
      usual_retries,
      [&] {
        std::vector<fs::path> entries;
        std::error_code error;
        fs::directory_iterator at(path, error);
        for (const fs::directory_iterator end; !error && at != end; at.increment(error)) entries.push_back(at->path());
        if (error && error != std::errc::no_such_file_or_directory) throw no_folder(path, error);
        return entries;
      },
      true);
}

/// Whether the path exists and is a readable folder.
bool is_there(const fs::path& path) {
  std::error_code error;
  const fs::file_status itself = fs::symlink_status(path, error);
  if (itself.type() == fs::file_type::none) throw no_folder(path, error);
  if (!fs::exists(itself)) return false;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::none) throw no_folder(path, error);
  if (!fs::exists(status)) {
    const fs::path target = fs::read_symlink(path, error);
    throw checkpoint_error("run directory '{}' is a symbolic link to '{}', which does not exist. Hint: create that folder, or remove the link", path.string(),
                           target.string());
  }
  if (!fs::is_directory(status))
    throw checkpoint_error("run directory '{}' is a file, not a folder. Hint: set run.output to a folder, or to a path that does not exist yet", path.string());
  return true;
}

/// The folder that `path` will name once its missing parts are created: new/.. is then the folder that holds new.
fs::path resolved(const fs::path& path) {
  std::error_code error;
  const fs::path found = fs::weakly_canonical(path, error);
  if (error) throw no_folder(path, error);
  return found;
}

constexpr std::size_t longest_name_inside = 100;  // "/checkpoints/.step-N.h5.TOKEN.partial"

/// Refuses names that no file system accepts, before a part of the path is created.
void require_short_names(const fs::path& path) {
  constexpr const char* hint = "Hint: set a shorter run.name, or run.output";
  for (const fs::path& part : path)
    if (part.native().size() > NAME_MAX)
      throw checkpoint_error("run directory '{}' cannot be created: the name '{}...' has {} bytes, at most {} are possible. {}", path.string(),
                             part.string().substr(0, 20), part.native().size(), NAME_MAX, hint);
  if (path.native().size() + longest_name_inside >= PATH_MAX)
    throw checkpoint_error("run directory '{}' cannot be used: its path has {} bytes, and with the names of its checkpoints a path can have at most {}. {}",
                           path.string(), path.native().size(), PATH_MAX, hint);
}

constexpr const char* job_without_list = "tasks of a job";  // the list of the tasks is missing or damaged

/// Description of the job whose tasks lie in this folder; empty if there is none.
std::string job_in(const fs::path& path) {
  if (is_regular(path / "tasks.json")) {
    const json job = json::parse(read_record(path / "tasks.json").value_or(""), nullptr, false);
    if (job.is_object() && job.contains("tasks") && job["tasks"].is_array()) {
      const bool named = job.contains("mode") && job["mode"].is_string();
      return fmt::format("a job of {} tasks (task.mode = {})", job["tasks"].size(), named ? job["mode"].get<std::string>() : "unknown");
    }
  }
  std::error_code ignored;
  if (!fs::is_directory(path / "tasks", ignored)) return {};
  const auto tasks = entries_of(path / "tasks");
  const bool some = std::ranges::any_of(tasks, [&](const fs::path& task) { return fs::is_directory(task, ignored) && is_a_runs(task); });
  return some ? job_without_list : "";
}

void require_kind(const fs::path& path, const std::string& job, RunKind kind) {
  if (kind == RunKind::tasks && job == job_without_list)
    throw checkpoint_error(
        "run directory '{}' holds {}, but their list, tasks.json, is missing or damaged. Nothing was written there. Hint: restore it from a "
        "copy, or set run.output to another folder",
        path.string(), job);
  if (job.empty() == (kind == RunKind::single)) return;
  if (kind == RunKind::single)
    throw checkpoint_error(
        "run directory '{}' holds {}, but task.mode = none asks for a single run. Nothing was written there. Hint: set the task.mode of "
        "the job to continue it, or set run.output to another folder",
        path.string(), job);
  throw checkpoint_error(
      "run directory '{}' holds a single run (task.mode = none), but this deck asks for a job of tasks. Nothing was written there. "
      "Hint: set task.mode = none to continue the run, or set run.output to another folder",
      path.string());
}

}  // namespace

void check_run_folder(const fs::path& given, RunKind kind) {
  require_short_names(given);
  const fs::path path = is_there(given) ? given : resolved(given);
  if (!is_there(path)) return;
  if (const std::string job = job_in(path); !job.empty() || is_a_runs(path)) return require_kind(path, job, kind);
  std::vector<std::string> foreign;
  for (const fs::path& entry : entries_of(path))
    if (!is_harmless(entry)) foreign.push_back(entry.filename().string());
  if (foreign.empty()) return;
  std::ranges::sort(foreign);
  const std::size_t named = std::min<std::size_t>(foreign.size(), 3);
  throw checkpoint_error(
      "run directory '{}' holds files that trireme did not write: '{}'{}. Nothing was written there. Hint: set run.output to a folder for "
      "this run alone, as in runs/NAME; it may be empty, and need not exist",
      path.string(), fmt::join(foreign.begin(), foreign.begin() + static_cast<std::ptrdiff_t>(named), "', '"),
      foreign.size() > named ? fmt::format(" and {} more", foreign.size() - named) : std::string());
}

void require_writable_run_folder(const Communicator& comm, const fs::path& path) {
  comm.together([&] {
    if (comm.rank() != 0) return;
    fs::path there = fs::absolute(resolved(path));  // resolved() leaves a path relative if nothing of it exists; it would have no end
    while (!is_there(there)) there = there.parent_path();
    if (::access(there.c_str(), W_OK | X_OK) == 0) return;
    const int number = errno;
    throw IoError(ExitCode::checkpoint,
                  fmt::format("run directory '{}' cannot be written: {} ('{}'). Hint: set run.output to a writable folder", path.string(),
                              std::generic_category().message(number), there.string()),
                  number);
  });
}

void create_run_folder(const fs::path& path, const char* inner, RunKind kind) {
  std::error_code ignored;
  const bool is_new = !fs::exists(path, ignored);
  const auto create = [&](const fs::path& folder) {
    with_retries(usual_retries, [&] {
      std::error_code error;
      fs::create_directories(folder, error);
      if (error)
        throw IoError(ExitCode::checkpoint,
                      fmt::format("run directory '{}' cannot be created: {}. Hint: set run.output to a writable folder", path.string(), error.message()),
                      error.value());
    });
  };
  create(path);
  if (is_new) check_run_folder(path, kind);  // what a path means can change while its parts are created
  create(path / inner);
}

void require_run_folder(const Communicator& comm, const fs::path& path, RunKind kind) {
  comm.together([&] {
    if (comm.rank() == 0) check_run_folder(path, kind);
  });
}

}  // namespace trireme
