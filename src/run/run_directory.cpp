#include "run/run_directory.hpp"

#include <algorithm>
#include <cstddef>
#include <sstream>

#include "base/error.hpp"
#include "base/log.hpp"
#include "io/record_file.hpp"

namespace trireme {

namespace {

/// Keeps the complete lines of an earlier run up to `step`. Reads all before it writes anything, so that neither a kill nor an error loses records.
void drop_events_after(const std::filesystem::path& file, std::int64_t step, const std::string& token) {
  const std::string before = read_record(file).value_or("");
  std::string kept;
  for (std::size_t at = 0, end; at < before.size(); at = end + 1) {
    end = std::min(before.find('\n', at), before.size());
    const auto event =
        nlohmann::json::parse(before.begin() + static_cast<std::ptrdiff_t>(at), before.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (!event.is_object()) continue;
    if (const auto found = event.find("step"); found != event.end() && found->is_number() && found->get<double>() > static_cast<double>(step)) continue;
    kept.append(before, at, end - at).push_back('\n');
  }
  replace_record(file, token, kept);
}

/// The kind of a record; empty: the line is no record.
std::string kind_of(const nlohmann::json& event) {
  if (!event.is_object()) return {};
  const auto kind = event.find("event");
  return kind != event.end() && kind->is_string() ? kind->get<std::string>() : std::string();
}

/// Of each start, the clock at its last record.
double seconds_of_starts(const std::filesystem::path& file) {
  double before = 0, last = 0;
  std::istringstream in(read_record(file).value_or(""));
  for (std::string line; std::getline(in, line);) {
    const auto event = nlohmann::json::parse(line, nullptr, false);
    const std::string kind = kind_of(event);
    if (kind == "start") before += last, last = 0;
    if (kind != "step" && kind != "epoch" && kind != "stop" && kind != "end") continue;
    if (const auto at = event.find("seconds"); at != event.end() && at->is_number()) last = std::max(last, at->get<double>());
  }
  return before + last;
}

}  // namespace

std::filesystem::path run_path(const Deck& deck) {
  const std::string& output = deck.text("run.output");
  if (output.empty()) return std::filesystem::path("runs") / deck.text("run.name");
  // "runs/a/" and "runs/a" are one folder: paths of files in it are compared by their names. A ".." stays, since a link may come before it.
  const std::filesystem::path path = output;
  return path.has_filename() || !path.has_relative_path() ? path : path.parent_path();
}

RunDirectory::RunDirectory(const Communicator& comm, const Deck& deck, const std::filesystem::path& path, std::int64_t resume_step, const std::string& token)
    : path_(path), token_(token) {
  comm.together([&] {
    if (comm.rank() != 0) return;
    // Always new files, so that an earlier run that is still alive appends to the old ones.
    const auto log = path_ / "log.txt", metrics = path_ / "metrics.jsonl";
    replace_record(log, token_, read_record(log).value_or(""));
    if (resume_step < 0)
      replace_record(metrics, token_, "");
    else
      drop_events_after(metrics, resume_step, token_);
    earlier_seconds_ = seconds_of_starts(metrics);
    replace_record(path_ / "deck.ini", token_, deck.resolved());
    if (!metrics_.open(metrics))
      throw checkpoint_error("run directory '{}': cannot write metrics.jsonl. Hint: check permissions and space, or set run.output", path_.string());
    log::also_to(log);
  });
}

void RunDirectory::drop_after(std::int64_t step) {
  if (!metrics_.is_open()) return;
  metrics_.close();
  drop_events_after(path_ / "metrics.jsonl", step, token_);
  metrics_.open(path_ / "metrics.jsonl");
}

nlohmann::json RunDirectory::find_event(const Communicator& comm, const std::string& kind, std::int64_t step) const {
  std::string found;
  comm.together([&] {
    if (comm.rank() != 0) return;
    std::istringstream in(read_record(path_ / "metrics.jsonl").value_or(""));
    for (std::string line; found.empty() && std::getline(in, line);) {
      const auto event = nlohmann::json::parse(line, nullptr, false);
      if (kind_of(event) != kind) continue;
      if (const auto at = event.find("step"); at != event.end() && at->is_number_integer() && at->get<std::int64_t>() == step) found = line;
    }
  });
  found = comm.broadcast(found);
  return found.empty() ? nlohmann::json() : nlohmann::json::parse(found);
}

void RunDirectory::event(const nlohmann::json& event) {
  if (metrics_.is_open()) metrics_.append(event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void Trace::write(const Communicator& comm, const std::filesystem::path& file, const std::string& token) const {
  if (!enabled_) return;
  std::string mine;
  for (const Span& span : spans_)
    mine += fmt::format("{{\"name\":\"{}\",\"ph\":\"X\",\"pid\":{},\"tid\":0,\"ts\":{:.1f},\"dur\":{:.1f}}},\n", span.name, comm.rank(), span.start * 1e6,
                        (span.end - span.start) * 1e6);
  mine += fmt::format("{{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":{},\"args\":{{\"name\":\"rank {}\"}}}}", comm.rank(), comm.rank());
  const auto all = comm.gather(mine);
  if (comm.rank() != 0) return;
  try {
    replace_record(file, token, fmt::format("[\n{}\n]\n", fmt::join(all, ",\n")));
  } catch (const Error& error) {
    log::warn("{}; the trace is lost", error.what());
    return;
  }
  log::info("trace: {} (open it in ui.perfetto.dev or chrome://tracing)", file.string());
}

}  // namespace trireme
