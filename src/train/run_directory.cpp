#include "train/run_directory.hpp"

#include <fstream>

#include "base/error.hpp"
#include "base/log.hpp"

namespace trireme {

namespace {

// Keeps the lines of an earlier run up to `step`; written anew beside and renamed, so that a kill loses nothing.
void drop_events_after(const std::filesystem::path& file, std::int64_t step) {
  std::ifstream in(file);
  if (!in) return;
  const auto fresh = std::filesystem::path(file).concat(".partial");
  {
    std::ofstream out(fresh);
    out.exceptions(std::ios::failbit | std::ios::badbit);
    for (std::string line; std::getline(in, line);) {
      const auto event = nlohmann::json::parse(line, nullptr, false);
      if (event.is_discarded() || event.value("step", std::int64_t{0}) > step) continue;
      out << line << '\n';
    }
    out.close();
  }
  std::filesystem::rename(fresh, file);
}

// The same content in a new file under the same name: what an earlier run that still lives appends goes into the old one.
void renew(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return;
  const auto fresh = std::filesystem::path(file).concat(".partial");
  std::filesystem::copy_file(file, fresh, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::rename(fresh, file);
}

}  // namespace

std::filesystem::path run_path(const Deck& deck) {
  const std::string& output = deck.text("run.output");
  return output.empty() ? std::filesystem::path("runs") / deck.text("run.name") : std::filesystem::path(output);
}

RunDirectory::RunDirectory(const Communicator& comm, const Deck& deck, const std::filesystem::path& path, std::int64_t resume_step) : path_(path) {
  comm.together([&] {
    if (comm.rank() != 0) return;
    try {
      std::filesystem::create_directories(path_ / "checkpoints");
      renew(path_ / "log.txt");
      const auto metrics = path_ / "metrics.jsonl";
      if (resume_step < 0)
        std::filesystem::remove(metrics);
      else
        drop_events_after(metrics, resume_step);
      std::ofstream(path_ / "deck.ini") << deck.resolved();
      if (!metrics_.open(metrics)) throw usage_error("run directory '{}': cannot write metrics.jsonl. Hint: check permissions and space, or set run.output", path_.string());
    } catch (const std::system_error& error) {  // of the file system or of a stream
      throw usage_error("run directory '{}' cannot be made: {}. Hint: set run.output to a folder that can be written", path_.string(),
                        error.code().message());
    }
    log::also_to(path_ / "log.txt");
  });
}

void RunDirectory::drop_after(std::int64_t step) {
  if (!metrics_.is_open()) return;
  metrics_.close();
  drop_events_after(path_ / "metrics.jsonl", step);
  metrics_.open(path_ / "metrics.jsonl");
}

bool RunDirectory::has_epoch(const Communicator& comm, std::int64_t step) const {
  int found = 0;
  if (comm.rank() == 0) {
    std::ifstream in(path_ / "metrics.jsonl");
    for (std::string line; found == 0 && std::getline(in, line);) {
      const auto event = nlohmann::json::parse(line, nullptr, false);
      found = event.is_object() && event.value("event", "") == "epoch" && event.value("step", std::int64_t{-1}) == step ? 1 : 0;
    }
  }
  comm.broadcast(std::span(&found, 1));
  return found != 0;
}

void RunDirectory::event(const nlohmann::json& event) {
  if (metrics_.is_open()) metrics_.append(event.dump());
}

void Trace::write(const Communicator& comm, const std::filesystem::path& file) const {
  if (!enabled_) return;
  std::string mine;
  for (const Span& span : spans_)
    mine += fmt::format("{{\"name\":\"{}\",\"ph\":\"X\",\"pid\":{},\"tid\":0,\"ts\":{:.1f},\"dur\":{:.1f}}},\n", span.name, comm.rank(), span.start * 1e6,
                        (span.end - span.start) * 1e6);
  mine += fmt::format("{{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":{},\"args\":{{\"name\":\"rank {}\"}}}}", comm.rank(), comm.rank());
  const auto all = comm.gather(mine);
  if (comm.rank() != 0) return;
  std::ofstream out(file);
  out << "[\n" << fmt::format("{}", fmt::join(all, ",\n")) << "\n]\n";
  log::info("trace: {} (open it in ui.perfetto.dev or chrome://tracing)", file.string());
}

}  // namespace trireme
