#include "run/checkpoint_manager.hpp"

#include <algorithm>
#include <chrono>
#include <exception>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

namespace trireme {

namespace fs = std::filesystem;

fs::path best_checkpoint_path(const fs::path& run_directory) { return checkpoint_path(run_directory, 0).parent_path() / "best.h5"; }

CheckpointManager::CheckpointManager(const Deck& deck, const Communicator& run, IoThread& h5, RunDirectory& directory, RunOwnership& ownership)
    : run_(run),
      comm_(run.duplicate()),
      h5_(h5),
      directory_(directory),
      ownership_(ownership),
      async_(deck.boolean("checkpoint.async")),
      stops_(deck.text("checkpoint.on_error") == "stop"),
      keep_(deck.integer("checkpoint.keep")),
      stage_(comm_.handle()) {
  comm_.named("checkpoints");
  how_ = {.tag = ownership.token(),
          .permission = [this] { ownership_.check(); },
          .on_h5_thread = [this](const std::function<void()>& action) { h5_.run([&] { action(); }); },
          .retries = static_cast<int>(deck.integer("run.io_retries")),
          .abandoned = &abandoned_};
  if (async_) writer_.emplace();
}

CheckpointManager::~CheckpointManager() { abandoned_ = true; }

double CheckpointManager::write_now(const fs::path& file, const CheckpointContent& content, std::int64_t step) {
  const Timer timer;
  write_checkpoint(file, stage_, content, comm_.handle(), how_);
  if (comm_.rank() == 0) remove_old(step);
  return timer.seconds();
}

void CheckpointManager::prepare(const std::vector<CheckpointArray>& arrays) {
  if (!async_) return;
  stage_.plan(arrays);
  prepared_ = writer_->submit([this] { stage_.reserve(); });
}

void CheckpointManager::write(std::int64_t step, const std::vector<CheckpointArray>& arrays, const FillRows& fill, CheckpointContent content,
                              const Timer& began) {
  if (pending_) {
    using namespace std::chrono_literals;
    const Timer waiting;
    const WaitScope now("the previous checkpoint");
    if (pending_->seconds.wait_for(200ms) != std::future_status::ready) {
      log::info(
          "checkpoint of step {}: training waits, because the checkpoint of step {} is still being written. Hint: the disk is too slow for "
          "checkpoint.every; set a larger interval",
          step, pending_->step);
      pending_->seconds.wait();
    }
    totals_.waiting += waiting.seconds();
    collect();
    if (error_) throw *error_;  // on all ranks: outcomes are the same, and all ranks call this at the same step
  }
  Pending next{.step = step, .file = checkpoint_path(directory_.path(), step), .stall = 0, .seconds = {}};
  if (async_) {
    if (prepared_.valid()) prepared_.get();
    stage_.copy(arrays, fill);
    next.seconds = writer_->submit([this, file = next.file, content = std::move(content), step] { return write_now(file, content, step); });
    next.stall = began.seconds();
    pending_.emplace(std::move(next));
    return;
  }
  stage_.refer(arrays, fill);
  std::promise<double> outcome;
  try {
    outcome.set_value(write_now(next.file, content, step));
  } catch (...) {
    outcome.set_exception(std::current_exception());
  }
  next.seconds = outcome.get_future();
  next.stall = began.seconds();
  pending_.emplace(std::move(next));
  collect();
  if (error_) throw *error_;
}

void CheckpointManager::collect() {
  Pending done = std::move(*pending_);
  pending_.reset();
  totals_.stall += done.stall;
  failed_ = false;
  try {
    const double seconds = done.seconds.get();
    last_seconds_ = async_ ? done.stall + seconds : done.stall;
    totals_.writing += seconds;
    ++totals_.written;
    const auto size = human_bytes(static_cast<double>(stage_.bytes()));
    if (async_)
      log::info("checkpoint {} ({}): training paused for {}, written in {}", done.file.string(), size, human_seconds(done.stall), human_seconds(seconds));
    else
      log::info("checkpoint {} ({}, {})", done.file.string(), size, human_seconds(done.stall));
    directory_.event({{"event", "checkpoint"},
                      {"step", done.step},
                      {"file", done.file.string()},
                      {"bytes", stage_.bytes()},
                      {"seconds", last_seconds_},
                      {"stall", done.stall},
                      {"writing", seconds}});
  } catch (const IoError& error) {
    ++totals_.failed;
    failed_ = true;
    failure_ = error.what();
    const bool ends = stops_ || error.code() == ExitCode::superseded;
    if (ends) {
      error_ = error;
    } else if (run_.rank() == 0) {
      log::warn("{}. Training continues (checkpoint.on_error = continue); earlier checkpoints are intact", error.what());
    }
    directory_.event({{"event", "checkpoint_failed"}, {"step", done.step}, {"file", done.file.string()}, {"message", error.what()}, {"goes_on", !ends}});
  }
}

bool CheckpointManager::poll() {
  using namespace std::chrono_literals;
  if (pending_ && pending_->seconds.wait_for(0s) == std::future_status::ready) collect();
  return error_.has_value() || (run_.rank() == 0 && ownership_.lost());
}

void CheckpointManager::raise() {
  if (pending_) collect();
  run_.together([&] {
    if (run_.rank() == 0) ownership_.check();
    if (error_) throw Error(error_->code(), error_->what());
  });
}

void CheckpointManager::finish(bool last) {
  const WaitScope now("the last checkpoint");
  if (pending_) collect();
  if (error_) throw *error_;
  if (last && failed_) throw checkpoint_error("{}. This was the run's last checkpoint: training since the previous checkpoint is lost", failure_);
}

void CheckpointManager::keep_as_best(std::int64_t step) const {
  const fs::path file = checkpoint_path(directory_.path(), step), best = best_checkpoint_path(directory_.path());
  const fs::path partial = file.parent_path() / fmt::format(".step-best.{}.partial", ownership_.token());
  std::error_code error;
  fs::remove(partial, error);
  fs::create_hard_link(file, partial, error);
  if (error) fs::copy_file(file, partial, fs::copy_options::overwrite_existing, error);
  if (!error) fs::rename(partial, best, error);
  if (!error) return;
  log::warn("checkpoint '{}' could not be kept as '{}': {}. Training continues", file.string(), best.string(), error.message());
  fs::remove(partial, error);
}

void CheckpointManager::remove_old(std::int64_t step) const {
  const auto file = checkpoint_path(directory_.path(), step);
  std::vector<fs::path> files;
  try {
    files = list_checkpoints(directory_.path());
  } catch (const Error& error) {  // on this rank only, and no reason to end the run: the next checkpoint removes them
    log::warn("{}. Older checkpoints are not removed for now", error.what());
    return;
  }
  const auto latest = std::ranges::find(files, file);
  if (latest == files.end()) return;  // the file system does not list it yet
  const auto keep = std::min<std::ptrdiff_t>(keep_, files.end() - latest);
  for (auto other = files.begin(); other != files.end(); ++other) {
    std::error_code ignored;
    if (other < latest || other >= latest + keep) fs::remove(*other, ignored);
  }
}

}  // namespace trireme
