#include "train/run_restore.hpp"

#include <algorithm>
#include <span>

#include "base/error.hpp"
#include "base/log.hpp"
#include "run/run_outcome.hpp"
#include "train/reduction_choice.hpp"

namespace trireme {

namespace {

bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder) {
  std::error_code ignored;
  const auto below = std::filesystem::weakly_canonical(path, ignored).lexically_relative(std::filesystem::weakly_canonical(folder, ignored));
  return !below.empty() && *below.begin() != "..";
}

/// If the learning rate of the next step or the end of the schedule changed: a note with the old and the new values. Else empty.
std::string schedule_note(const SavedRun& saved, const Progress& old, const Progress& now, const StepPlan& plan) {
  if (!saved.deck || old.epoch_steps <= 0) return {};
  const Deck& deck = *saved.deck;
  const std::int64_t offset = old.step - old.epoch * old.epoch_steps - old.batch / deck.integer("train.accumulate"), limit = deck.integer("train.steps");
  std::int64_t end = deck.integer("train.epochs") * old.epoch_steps + offset;
  if (limit > 0) end = std::min(end, limit);
  const double before = Schedule(deck, old.epoch_steps, end).at(now.step), after = plan.schedule().at(now.step);
  const std::string& kind = deck.text("schedule.kind");
  const bool ends = schedule_kind(deck).follows_length;
  if (before == after && (!ends || end == plan.total_steps())) return {};
  return fmt::format("the learning-rate schedule changed: {} of {} steps -> {} steps; step {} has {:.4g} instead of {:.4g}", kind, end, plan.total_steps(),
                     now.step + 1, after, before);
}

}  // namespace

template <class T>
RunRestore<T>::RunRestore(RunContext& run, TrainState<T>& state, const DataLoader<T>& loader, StepPlan& plan, bool task)
    : run_(run), state_(state), plan_(plan), task_(task), fingerprint_(fingerprint_of(loader.data(), loader.options())) {
  record_reduction(run, state.reducer(), fingerprint_);
}

template <class T>
std::optional<std::filesystem::path> RunRestore<T>::restore_or_initialize(const std::filesystem::path& directory) {
  const std::string& wanted = run_.deck.text("checkpoint.resume");
  std::optional<std::filesystem::path> from;
  weights_.reset();
  if (wanted != "never") {
    // A run that started from another run's checkpoint and was stopped continues from its own checkpoints, unless the deck names one of them.
    const bool named = wanted != "auto";
    if (!named || !lies_in(wanted, directory)) from = find_checkpoint(run_.comm, directory);
    if (named && !from && !run_.deck.text("model.weights").empty())
      throw usage_error(
          "checkpoint.resume = '{}' and model.weights = '{}' exclude each other at the start of a run: the one continues a run, the other begins one. Hint: "
          "leave checkpoint.resume = auto",
          wanted, run_.deck.text("model.weights"));
    if (named && !from) from = find_checkpoint(run_.comm, wanted);
    if (named && !from)
      throw checkpoint_error("checkpoint.resume = '{}' holds no checkpoint. Hint: set it to a checkpoint file, a run directory, or auto", wanted);
  } else {
    require_no_checkpoints(directory);
  }
  if (from) {
    restore(*from, nullptr);
  } else {
    state_.network().initialize(static_cast<std::uint64_t>(run_.deck.integer("run.seed")));
    if (!run_.deck.text("model.weights").empty()) weights_ = load_initial_weights(run_.deck, run_.comm, state_.network());
    state_.progress().epoch_steps = plan_.epoch_steps();
  }
  return from;
}

template <class T>
void RunRestore<T>::require_no_checkpoints(const std::filesystem::path& directory) const {
  bool occupied = false;
  run_.comm.together([&] {
    if (run_.is_root()) occupied = !list_checkpoints(directory).empty();
  });
  if (run_.comm.all_reduce(occupied ? 1 : 0, MPI_MAX) != 0)
    throw checkpoint_error(
        "checkpoint.resume = never, but run directory '{}' holds checkpoints, which a new run would overwrite. Hint: set run.output to "
        "another folder, remove this one, or set checkpoint.resume = auto to continue",
        directory.string());
}

template <class T>
void RunRestore<T>::restore(const std::filesystem::path& file, IoThread* h5) {
  const SavedRun saved = saved_run(run_.comm, file, h5);
  const AbsentState absent = absent_state(saved, run_.deck);
  state_.load(file, h5, absent.groups);
  if (absent.of_optimizer) state_.progress().optimizer_start = state_.progress().step;
  fit_to_deck(saved, absent);
}

template <class T>
void RunRestore<T>::fit_to_deck(const SavedRun& saved, const AbsentState& absent) {
  Progress& progress = state_.progress();
  const ResumeCheck check(saved, run_.deck, fingerprint_, progress, plan_.epoch_steps());
  const Progress old = progress;
  if (check.restarts_epoch) progress.batch = progress.epoch_samples = 0, progress.epoch_loss = 0;
  plan_.continue_at(progress);
  if (plan_.is_complete(progress)) check.require_unchanged_end(saved, task_);
  changes_ = check.changes;
  notes_ = check.notes;
  notes_.insert(notes_.end(), absent.notes.begin(), absent.notes.end());
  if (const auto note = schedule_note(saved, old, progress, plan_); !note.empty() && !plan_.is_complete(progress)) notes_.push_back(note);
}

template <class T>
std::string RunRestore<T>::newest_checkpoint(const std::filesystem::path& directory) const {
  std::vector<std::filesystem::path> files;
  run_.comm.together([&] {
    if (run_.is_root()) files = list_checkpoints(directory);
  });
  return run_.comm.broadcast(files.empty() ? std::string() : files.front().string());
}

template <class T>
bool RunRestore<T>::has_ended(const std::filesystem::path& directory) const {
  int ended = 0;
  run_.comm.together([&] {
    if (!run_.is_root()) return;
    const auto outcome = outcome_of(directory);
    ended = outcome.value("ended", false) && outcome.contains("step") && outcome["step"] == state_.progress().step ? 1 : 0;
  });
  run_.comm.broadcast(std::span(&ended, 1));
  return ended != 0;
}

template <class T>
void RunRestore<T>::log_changes() const {
  for (const DeckChange& change : changes_) log::info("changed since the checkpoint: {}", change.text());
  if (weights_)
    for (const std::string& line : weights_->lines()) log::info("{}", line);
  if (!run_.is_root()) return;
  if (weights_)
    for (const std::string& note : weights_->notes) log::warn("{}", note);
  for (const std::string& note : notes_) log::warn("{}", note);
}

template class RunRestore<float>;
template class RunRestore<double>;

}  // namespace trireme
