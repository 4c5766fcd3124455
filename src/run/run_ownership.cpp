#include "run/run_ownership.hpp"

#include <fmt/chrono.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <system_error>

#include "base/error.hpp"
#include "io/checkpoint_file.hpp"
#include "io/record_file.hpp"
#include "run/run_folder.hpp"

namespace trireme {

namespace fs = std::filesystem;

namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

nlohmann::json description(const std::string& token) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return {{"token", token},
          {"host", host},
          {"process", static_cast<std::int64_t>(getpid())},
          {"job", variable("SLURM_JOB_ID")},
          {"restart", variable("SLURM_RESTART_COUNT")},
          {"since", fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(std::time(nullptr)))}};
}

/// Removes temporary files of a killed run from the run directory. Files with other names do not belong to the run.
void remove_partials(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (const auto name = at->path().filename().string(); is_unfinished_record(name) && fs::is_regular_file(at->symlink_status(error)))
      fs::remove(at->path(), error);
}

}  // namespace

std::string new_run_token() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

RunOwnership::RunOwnership(const Communicator& comm, const fs::path& run_directory) : file_(run_directory / "owner.json"), token_(new_run_token()) {
  comm.together([&] {
    if (comm.rank() != 0) return;
    create_run_folder(run_directory, "checkpoints", RunKind::single);
    remove_partials(run_directory);
    replace_record(file_, token_, description(token_).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    remove_unfinished_checkpoints(run_directory / "checkpoints");
  });
  token_ = comm.broadcast(token_);
}

void RunOwnership::check() const {
  std::ifstream in(file_);
  if (!in) {
    const int number = errno;
    const auto why = std::generic_category().message(number);
    throw IoError(ExitCode::checkpoint, fmt::format("'{}' cannot be read: {}. Hint: was the run directory moved, or removed?", file_.string(), why), number);
  }
  const auto owner = nlohmann::json::parse(in, nullptr, false);
  const auto word = [&](const char* key) {
    return owner.is_object() && owner.contains(key) && owner[key].is_string() ? owner[key].get<std::string>() : std::string();
  };
  if (word("token") == token_) return;
  const bool numbered = owner.is_object() && owner.contains("process") && owner["process"].is_number_integer();
  const std::string job = word("job").empty() ? "" : "job " + word("job") + ", ";
  throw fail(ExitCode::superseded,
             "run directory '{}' was taken over by a later run ({}process {} on {}, since {}). This run stops and writes nothing more there. Hint: end the "
             "earlier job; runs at the same time need different run.output",
             file_.parent_path().string(), job, numbered ? owner["process"].get<std::int64_t>() : 0, word("host"), word("since"));
}

bool RunOwnership::lost() {
  if (lost_ || since_.seconds() < looked_ + 1) return lost_;
  looked_ = since_.seconds();
  try {
    check();
  } catch (const IoError&) {
  } catch (const Error&) {
    lost_ = true;
  }
  return lost_;
}

}  // namespace trireme
