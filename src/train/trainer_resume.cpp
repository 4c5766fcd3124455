// Where a run goes on: the checkpoint that it finds, what changed since, and the choices that it takes over.
#include <array>
#include <cmath>

#include "base/error.hpp"
#include "base/log.hpp"
#include "io/retry.hpp"
#include "train/task_report.hpp"
#include "train/trainer.hpp"

namespace trireme {

namespace {

bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder) {
  std::error_code ignored;
  const auto below = std::filesystem::weakly_canonical(path, ignored).lexically_relative(std::filesystem::weakly_canonical(folder, ignored));
  return !below.empty() && *below.begin() != "..";
}

/// The learning rates of the step that comes next under the schedule of before and of now, where they differ or the schedule's end moved; else nothing.
std::string schedule_note(const SavedRun& saved, const Progress& old, const Progress& now, const Schedule& schedule, std::int64_t total) {
  if (!saved.deck || old.epoch_steps <= 0) return {};
  const Deck& deck = *saved.deck;
  const std::int64_t offset = old.step - old.epoch * old.epoch_steps - old.batch / deck.integer("train.accumulate"), limit = deck.integer("train.steps");
  std::int64_t end = deck.integer("train.epochs") * old.epoch_steps + offset;
  if (limit > 0) end = std::min(end, limit);
  const double before = Schedule(deck, old.epoch_steps, end).at(now.step), after = schedule.at(now.step);
  const std::string& kind = deck.text("schedule.kind");
  const bool ends = kind == "cosine" || kind == "linear";
  if (before == after && (!ends || end == total)) return {};
  return fmt::format("the schedule of the learning rate is not the one of before: {} of {} steps -> {} steps; step {} has {:.4g} instead of {:.4g}", kind, end, total,
                     now.step + 1, after, before);
}

}  // namespace

template <class T>
std::optional<std::filesystem::path> Trainer<T>::stand_where_it_stood(const std::filesystem::path& path) {
  const std::string& wish = deck_.text("checkpoint.resume");
  std::optional<std::filesystem::path> from;
  if (wish != "never") {
    // A run that began from another's checkpoint, and was stopped, goes on from its own; only one of its own takes it back.
    const bool named = wish != "auto";
    if (!named || !lies_in(wish, path)) from = find_checkpoint(comm_, path);
    if (named && !from) from = find_checkpoint(comm_, wish);
    if (named && !from)
      throw checkpoint_error("checkpoint.resume = '{}' holds no checkpoint. Hint: name a checkpoint file or a run directory, or say auto", wish);
  } else {
    bool occupied = false;
    comm_.together([&] {
      if (comm_.rank() == 0) occupied = !list_checkpoints(path).empty();
    });
    if (comm_.all_reduce(occupied ? 1 : 0, MPI_MAX) != 0)
      throw checkpoint_error("checkpoint.resume = never, but run directory '{}' holds checkpoints, which a new run would overwrite. Hint: set run.output to "
                             "another folder, remove this one, or say auto to continue", path.string());
  }
  if (from) {
    progress_ = load_snapshot<T>(*from, comm_, network_, &optimizer_, average_ ? &*average_ : nullptr, &reducer_);
    fit_to_deck(*from, nullptr);
  } else {
    network_.initialize(static_cast<std::uint64_t>(deck_.integer("run.seed")));
    progress_.epoch_steps = epoch_steps_;
  }
  return from;
}

template <class T>
void Trainer<T>::fit_to_deck(const std::filesystem::path& from, IoThread* h5) {
  const SavedRun saved = saved_run(comm_, from, h5);
  const ResumeCheck check(saved, deck_, fingerprint_, progress_, epoch_steps_);
  const Progress old = progress_;
  if (check.restarts_epoch) progress_.batch = progress_.epoch_samples = 0, progress_.epoch_loss = 0;
  progress_.epoch_steps = epoch_steps_;
  // Steps count updates, whatever an epoch had of them before.
  step_offset_ = progress_.step - progress_.epoch * epoch_steps_ - progress_.batch / accumulate_;
  total_steps_ = deck_.integer("train.epochs") * epoch_steps_ + step_offset_;
  if (const std::int64_t limit = deck_.integer("train.steps"); limit > 0) total_steps_ = std::min(total_steps_, limit);
  schedule_ = Schedule(deck_, epoch_steps_, total_steps_);
  if (progress_.step >= total_steps_) check.require_unchanged_end(saved);
  changes_ = check.changes;
  change_notes_ = check.notes;
  if (const auto note = schedule_note(saved, old, progress_, schedule_, total_steps_); !note.empty() && progress_.step < total_steps_) change_notes_.push_back(note);
}

template <class T>
void Trainer<T>::say_what_changed() const {
  for (const DeckChange& change : changes_) log::info("changed since the checkpoint: {}", change.text());
  if (comm_.rank() != 0) return;
  for (const std::string& note : change_notes_) log::warn("{}", note);
}

template <class T>
ReduceOptions Trainer<T>::reduce_options() const {
  ReduceOptions options = ReduceOptions::from(deck_, grid_.shape(), network_.arena_size());
  const Communicator& ranks = grid_.reduction();
  // Sums of two, and of lanes, have one order whatever is chosen.
  if (ranks.size() <= 2 || !options.lanes.empty() || (options.bucket_bytes > 0 && options.way != ReduceOptions::Way::automatic)) return options;
  std::array<std::int64_t, 3> kept{0, 0, 0};  // ranks, bytes of a bucket, by nodes
  comm_.together([&] {
    if (comm_.rank() != 0 || deck_.text("checkpoint.resume") == "never") return;
    auto files = list_checkpoints(run_path(deck_));
    if (const std::filesystem::path wish = deck_.text("checkpoint.resume"); files.empty() && wish != "auto")
      files = std::filesystem::is_directory(wish) ? list_checkpoints(wish) : std::vector{wish};
    for (const auto& file : files) {
      try {
        const CheckpointContent content = with_retries(usual_retries, [&] { return CheckpointReader(file).content(); });
        const auto value = [&](const char* key) { return content.integers.contains(key) ? content.integers.at(key) : 0; };
        kept = {value("reduce_ranks"), value("reduce_bucket"), value("reduce_by_nodes")};
        return;
      } catch (const Error&) {  // what is damaged is told of when the run looks for where it stands
      }
    }
  });
  comm_.broadcast(std::span<std::int64_t>(kept));
  if (kept[0] != ranks.size() || kept[1] <= 0) return options;
  if (options.bucket_bytes == 0) options.bucket_bytes = kept[1];
  if (options.way == ReduceOptions::Way::automatic) options.way = kept[2] != 0 ? ReduceOptions::Way::hierarchical : ReduceOptions::Way::flat;
  return options;
}

template <class T>
Fingerprint Trainer<T>::fingerprint() const {
  Fingerprint all = fingerprint_of(train_data_, stream_options());
  if (grid_.reduction().size() <= 2 || lanes_ > 0) return all;
  all["reduce_ranks"] = grid_.reduction().size();
  all["reduce_bucket"] = reducer_.bucket_bytes();
  all["reduce_by_nodes"] = reducer_.by_nodes() ? 1 : 0;
  return all;
}

template <class T>
bool Trainer<T>::is_over(const std::filesystem::path& path) const {
  if (hook_ != nullptr || progress_.step < total_steps_) return false;
  int over = 0;
  comm_.together([&] {
    if (comm_.rank() != 0) return;
    const auto outcome = outcome_of(path);
    over = outcome.value("ended", false) && outcome.contains("step") && outcome["step"] == progress_.step ? 1 : 0;
  });
  comm_.broadcast(std::span(&over, 1));
  return over != 0;
}

template <class T>
ExitCode Trainer<T>::report_end() {
  log::info("nothing to do: step {} of {} is reached already", progress_.step, total_steps_);
  if (evaluator_) last_metrics_ = measure();
  log::info("parameters sha256 {}", parameters_sha256(network_, &grid_));
  if (last_metrics_)
    log::info("done: test {}", last_metrics_->text());
  else
    log::info("done");
  return ExitCode::done;
}

#define TRIREME_INSTANTIATE(T)                                                                                  \
  template std::optional<std::filesystem::path> Trainer<T>::stand_where_it_stood(const std::filesystem::path&); \
  template void Trainer<T>::fit_to_deck(const std::filesystem::path&, IoThread*);                               \
  template void Trainer<T>::say_what_changed() const;                                                           \
  template ReduceOptions Trainer<T>::reduce_options() const;                                                    \
  template Fingerprint Trainer<T>::fingerprint() const;                                                         \
  template bool Trainer<T>::is_over(const std::filesystem::path&) const;                                        \
  template ExitCode Trainer<T>::report_end();
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
