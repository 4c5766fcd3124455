#include "train/run_directory.hpp"

#include <algorithm>
#include <cstddef>
#include <sstream>

#include "base/error.hpp"
#include "base/log.hpp"
#include "io/record_file.hpp"

namespace trireme {

namespace {

/// Keeps the whole lines of an earlier run up to `step`. Read whole before anything is written, so that neither a kill nor an error loses records.
void drop_events_after(const std::filesystem::path& file, std::int64_t step, const std::string& token) {
  const std::string before = read_record(file).value_or("");
  std::string kept;
  for (std::size_t at = 0, end; at < before.size(); at = end + 1) {
    end = std::min(before.find('\n', at), before.size());
    const auto event = nlohmann::json::parse(before.begin() + static_cast<std::ptrdiff_t>(at), before.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (!event.is_object()) continue;
    if (const auto found = event.find("step"); found != event.end() && found->is_number() && found->get<double>() > static_cast<double>(step)) continue;
    kept.append(before, at, end - at).push_back('\n');
  }
  replace_record(file, token, kept);
}

}  // namespace

std::filesystem::path run_path(const Deck& deck) {
  const std::string& output = deck.text("run.output");
  return output.empty() ? std::filesystem::path("runs") / deck.text("run.name") : std::filesystem::path(output);
}

RunDirectory::RunDirectory(const Communicator& comm, const Deck& deck, const std::filesystem::path& path, std::int64_t resume_step, const std::string& token)
    : path_(path), token_(token) {
  comm.together([&] {
    if (comm.rank() != 0) return;
    // New files, also where nothing changes: what an earlier run that still lives appends goes into the old ones.
    const auto log = path_ / "log.txt", metrics = path_ / "metrics.jsonl";
    replace_record(log, token_, read_record(log).value_or(""));
    if (resume_step < 0)
      replace_record(metrics, token_, "");
    else
      drop_events_after(metrics, resume_step, token_);
    replace_record(path_ / "deck.ini", token_, deck.resolved());
    if (!metrics_.open(metrics)) throw checkpoint_error("run directory '{}': cannot write metrics.jsonl. Hint: check permissions and space, or set run.output", path_.string());
    log::also_to(log);
  });
}

void RunDirectory::drop_after(std::int64_t step) {
  if (!metrics_.is_open()) return;
  metrics_.close();
  drop_events_after(path_ / "metrics.jsonl", step, token_);
  metrics_.open(path_ / "metrics.jsonl");
}

bool RunDirectory::has_epoch(const Communicator& comm, std::int64_t step) const {
  int found = 0;
  comm.together([&] {
    if (comm.rank() != 0) return;
    std::istringstream in(read_record(path_ / "metrics.jsonl").value_or(""));
    for (std::string line; found == 0 && std::getline(in, line);) {
      const auto event = nlohmann::json::parse(line, nullptr, false);
      if (!event.is_object() || event.value("event", "") != "epoch") continue;
      found = event.value("step", std::int64_t{-1}) == step ? 1 : 0;
    }
  });
  comm.broadcast(std::span(&found, 1));
  return found != 0;
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
    log::warn("{}; the time line is lost", error.what());
    return;
  }
  log::info("trace: {} (open it in ui.perfetto.dev or chrome://tracing)", file.string());
}

}  // namespace trireme
