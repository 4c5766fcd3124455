// Builds a run, and resumes it from its run directory.
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "comm/cpu_placement.hpp"
#include "comm/shared_error.hpp"
#include "data/verify.hpp"
#include "run/run_folder.hpp"
#include "train/trainer.hpp"

namespace trireme {

namespace {

constexpr const char* memory_hint =
    "reduce data.batch, data.cache or data.window, use fewer ranks per node, set optimizer.shard = true, or use other axes of [parallel]; "
    "trireme plan prints the memory of each rank";

constexpr const char* size_hint =
    "use fewer channels or features, parallel.tensor or parallel.pipeline on more nodes, optimizer.shard = true, or fewer ranks per "
    "node; trireme plan prints the memory of each rank";

/// Throws if the run does not fit in the memory of its nodes, before anything is allocated.
template <class T>
const Communicator& checked(const Deck& deck, const Communicator& comm) {
  if (deck.text("data.train").empty())
    throw usage_error("{}: data.train is not set; training needs a data set. Hint: set data.train to a folder of shards", deck.origin());
  const GridShape grid = grid_shape(deck, comm.size());
  const Network<T> network(deck, largest_pass(deck, grid), Network<T>::Use::training, GridPlace(grid, comm.rank()));
  const RunMemory memory = run_memory(deck, grid, network);
  const bool of_samples = memory.activations > memory.parameters;
  require_node_memory(comm, memory.total(), "parameters, gradients, state and activations", of_samples ? memory_hint : size_hint);
  return comm;
}

/// Maximum number of samples of this rank in a step, with even shares.
std::int64_t largest_step(const RunContext& run) {
  const std::int64_t ranks = run.grid.shape().data;
  return run.deck.integer("train.accumulate") * ((run.deck.integer("data.batch") + ranks - 1) / ranks);
}

constexpr double guessed_bytes_per_s = 100 << 20;  // checkpoint bandwidth, until one is measured

}  // namespace

template <class T>
Trainer<T>::Trainer(const Deck& deck, const Communicator& comm, StepHook<T>* hook, bool dry)
    : run_{deck, checked<T>(deck, comm)},
      hook_(hook),
      network_(deck, largest_pass(deck, run_.grid.shape()), Network<T>::Use::training, run_.grid),
      loader_(run_, network_),
      state_(run_, network_),
      plan_(deck, loader_.data().size(), loader_.batches()),
      profiler_(run_, network_, loader_.data(), largest_step(run_), state_.optimizer().states().size()),
      forward_backward_(run_, network_, loader_, state_.reducer(), profiler_),
      evaluation_(run_, state_, loader_.data()),
      validation_(run_, state_, loader_.data(), "validation"),
      quality_(deck, validation_.exists(), evaluation_.exists()),
      balance_(run_),
      files_(run_),
      stop_(deck, comm, state_.snapshot_bytes() / guessed_bytes_per_s),
      restore_(run_, state_, loader_, plan_, hook != nullptr),
      recorder_(run_, state_, plan_, profiler_, memory_, files_),
      checkpoints_({run_, state_, loader_, restore_, files_, profiler_, stop_, recorder_}),
      recovery_(run_, state_, restore_, checkpoints_, files_) {
  if (quality_.wanted()) quality_.require_metrics((validation_.exists() ? validation_ : evaluation_).metric_names());
  plan_memory();
  state_.reducer().measure(run_.exec);
  open_run(dry);
}

template <class T>
void Trainer<T>::plan_memory() {
  RunMemory plan = run_memory(run_.deck, run_.grid.shape(), network_);
  plan.data = loader_.memory() + evaluation_.memory() + validation_.memory();
  memory_.set_plan(plan);
  require_node_memory(run_.comm, plan.total(), "the run and its cached rows", memory_hint);
}

/// Restores from the newest checkpoint of the run directory or what the deck names. An earlier run that still writes there may remove a checkpoint while it is
/// read: then another one is the newest, and this run reads that one. `seen`: the newest one before the reading that succeeded.
template <class T>
std::optional<std::filesystem::path> Trainer<T>::restored(const std::filesystem::path& path, std::string& seen) {
  for (int again = 20;; --again) {
    try {
      return restore_.restore_or_initialize(path);
    } catch (const SharedError& error) {  // all ranks throw it, so all look again
      const std::string newest = restore_.newest_checkpoint(path);
      if (newest == seen || again == 0) throw;
      if (run_.is_root()) log::warn("a checkpoint changed while it was read, the newest one is now '{}': {}", newest, error.what());
      seen = newest;
    }
  }
}

template <class T>
void Trainer<T>::open_run(bool dry) {
  const auto& path = files_.path();
  require_run_folder(run_.comm, path, RunKind::single);
  std::string seen = restore_.newest_checkpoint(path);
  auto from = restored(path, seen);
  const auto from_this_run = [&] { return from && from->parent_path().parent_path() == path; };
  complete_ = from_this_run() && hook_ == nullptr && is_done() && restore_.has_ended(path);
  const bool writes = !dry && !complete_;
  if (dry && !complete_) require_writable_run_folder(run_.comm, path);  // a real start would fail, too
  if (writes) {
    // A start that is refused changes nothing, so the directory is claimed only now. Afterwards no other run adds a checkpoint; if one was added in between,
    // this run continues from it.
    files_.take_over();
    if (std::string newest = restore_.newest_checkpoint(path); newest != seen) from = restored(path, newest);
  }
  checkpoints_.set_last_step(from_this_run() ? progress().step : -1);
  if (writes) files_.open(from ? progress().step : -1);
  log_start(dry, from);
}

template <class T>
void Trainer<T>::log_start(bool dry, const std::optional<std::filesystem::path>& from) {
  const std::optional<DataSet>& test = evaluation_.data();
  const std::optional<DataSet>& validation = validation_.data();
  recorder_.log_setup(loader_, test ? &*test : nullptr);
  if (validation) {
    const auto held_out = held_out_rows(run_.deck);
    log::info("validation: {} samples{}", validation->size(),
              held_out ? fmt::format(" of data.train, held out with data.validation_seed = {}", held_out->seed) : "");
  }
  if (const std::string warning = quality_.warning(); !warning.empty() && run_.is_root()) log::warn("{}", warning);
  if (!dry) {
    std::vector<const DataSet*> sets{&loader_.data()};
    if (test) sets.push_back(&*test);
    if (validation && !held_out_rows(run_.deck)) sets.push_back(&*validation);
    verify_data(run_.comm, run_.io, run_.deck.text("data.verify"), sets);
  }
  for (const std::string& line : state_.optimizer().groups().lines()) log::info("{}", line);
  if (run_.grid.reduction().size() > 1) log::info("reduce over {}", state_.reducer().plan());
  if (const TimeLimit& limit = stop_.time_limit(); limit.exists())
    log::info("time limit in {}: the run writes a checkpoint and stops when {} are left (plus the measured time of a checkpoint and a step)",
              human_seconds(limit.left(TimeLimit::now())), human_seconds(limit.needed()));
  if (from) log::info("continuing from '{}' at step {}", from->string(), progress().step);
  if (CpuPlacement::cores() > 0)
    log::info("threads: {} rank(s) x {} thread(s) on {} core(s)", run_.comm.size(), run_.exec.concurrency(), CpuPlacement::cores());
  restore_.log_changes();
  recorder_.record_start(restore_.changes());
  if (files_.is_open() && restore_.weights()) files_.directory().event(restore_.weights()->json());
}

#define TRIREME_INSTANTIATE(T) template Trainer<T>::Trainer(const Deck&, const Communicator&, StepHook<T>*, bool);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
