#include "train/run_folder.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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
  return IoError(ExitCode::checkpoint, fmt::format("run directory '{}' cannot be read: {}. Hint: check the path and its permissions, or set run.output to another folder",
                                                   path.string(), error.message()), error.value());
}

/// The first line of a file as JSON; discarded where it is none.
json first_line(const fs::path& file) {
  const std::string text = read_record(file).value_or("");
  return json::parse(text.begin(), std::ranges::find(text, '\n'), nullptr, false);
}

bool is_regular(const fs::path& file) {
  std::error_code ignored;
  return fs::is_regular_file(file, ignored);
}

/// Whether a run wrote here. A kill leaves owner.json, which comes first.
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
  struct stat one {}, other {};
  if (::stat(file.c_str(), &one) != 0) return false;
  return std::ranges::any_of(std::vector{STDOUT_FILENO, STDERR_FILENO},
                             [&](int stream) { return ::fstat(stream, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino; });
}

/// What a run that was killed in its first moments leaves, what the launcher writes this run's words to, and files without content under other names than a run's.
bool is_harmless(const fs::path& entry) {
  static const std::vector<std::string> records{"deck.ini", "log.txt", "metrics.jsonl", "owner.json", "trace.json", "exit_code", "tasks.json", "tasks.csv"};
  const std::string name = entry.filename().string();
  std::error_code ignored;
  const fs::file_status status = fs::symlink_status(entry, ignored);
  if (fs::is_directory(status)) {
    if (name != "checkpoints" && name != "tasks") return false;
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
  return with_retries(usual_retries, [&] {
    std::vector<fs::path> entries;
    std::error_code error;
    fs::directory_iterator at(path, error);
    for (const fs::directory_iterator end; !error && at != end; at.increment(error)) entries.push_back(at->path());
    if (error && error != std::errc::no_such_file_or_directory) throw no_folder(path, error);
    return entries;
  }, true);
}

/// Whether something stands there: a folder that can be looked into.
bool is_there(const fs::path& path) {
  std::error_code error;
  const fs::file_status itself = fs::symlink_status(path, error);
  if (itself.type() == fs::file_type::none) throw no_folder(path, error);
  if (!fs::exists(itself)) return false;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::none) throw no_folder(path, error);
  if (!fs::exists(status)) {
    const fs::path target = fs::read_symlink(path, error);
    throw checkpoint_error("run directory '{}' is a symbolic link to '{}', which does not exist. Hint: make that folder, or remove the link", path.string(), target.string());
  }
  if (!fs::is_directory(status))
    throw checkpoint_error("run directory '{}' is a file, not a folder. Hint: set run.output to a folder, or to a name that is free", path.string());
  return true;
}

void look(const fs::path& path) {
  if (!is_there(path) || is_a_runs(path)) return;
  std::vector<std::string> foreign;
  for (const fs::path& entry : entries_of(path))
    if (!is_harmless(entry)) foreign.push_back(entry.filename().string());
  if (foreign.empty()) return;
  std::ranges::sort(foreign);
  const std::size_t named = std::min<std::size_t>(foreign.size(), 3);
  throw checkpoint_error("run directory '{}' holds files that no run of trireme wrote: '{}'{}. Nothing was written there. Hint: set run.output to a folder of "
                         "its own, as runs/NAME; it may be empty, and need not exist", path.string(),
                         fmt::join(foreign.begin(), foreign.begin() + static_cast<std::ptrdiff_t>(named), "', '"),
                         foreign.size() > named ? fmt::format(" and {} more", foreign.size() - named) : std::string());
}

}  // namespace

void require_run_folder(const Communicator& comm, const fs::path& path) {
  comm.together([&] {
    if (comm.rank() == 0) look(path);
  });
}

}  // namespace trireme
