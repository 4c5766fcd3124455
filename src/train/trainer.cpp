#include "train/trainer.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "comm/mailbox.hpp"
#include "data/sampler.hpp"
#include "kokkos_kernels/gemm.hpp"
#include "train/watchdog.hpp"

namespace trireme {

namespace {

ShardNames shard_names(const Deck& deck) { return {deck.text("data.features"), deck.text("data.labels")}; }

const Communicator& checked(const Deck& deck, const Communicator& comm) {
  if (deck.text("data.train").empty()) throw usage_error("{}: data.train is not given; training needs a data set", deck.origin());
  return comm;
}

// Stream 0 is the seed itself: runs without streams keep their bits.
std::uint64_t stream_seed(const Deck& deck) {
  const auto seed = static_cast<std::uint64_t>(deck.integer("run.seed")), stream = static_cast<std::uint64_t>(deck.integer("run.stream"));
  return stream == 0 ? seed : mix(mix(seed, 0x73747265616dull), stream);  // "stream"
}

bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder) {
  std::error_code ignored;
  const auto below = std::filesystem::weakly_canonical(path, ignored).lexically_relative(std::filesystem::weakly_canonical(folder, ignored));
  return !below.empty() && *below.begin() != "..";
}

template <class T>
std::vector<std::int64_t> cuts(const Network<T>& network) {
  std::vector<std::int64_t> offsets;
  for (const auto& parameter : network.parameters()) offsets.push_back(parameter.offset);
  return offsets;
}

constexpr std::size_t loss_slot = 0;   // control(0): sum of the batch's losses
constexpr std::size_t stop_slot = 1;   // control(1): ranks that were told to stop
constexpr std::size_t fault_slot = 2;  // control(2): ranks that met what ends the run with an error
constexpr std::int64_t control_read = 3;

// nvcc allows no kernel in a private member function.
template <class T>
void add_to_control(const Execution& exec, Span<const double> loss, double share, T stop, T fault, Span<T> control) {
  Kokkos::parallel_for("trireme::trainer::control", Range(exec, 0, 1), KOKKOS_LAMBDA(std::int64_t) {
    if (share > 0) control(loss_slot) += static_cast<T>(share * loss(0));
    control(stop_slot) = stop;
    control(fault_slot) = fault;
  });
}

}  // namespace

template <class T>
Trainer<T>::Trainer(const Deck& deck, const Communicator& comm, StepHook<T>* hook, bool dry)
    : deck_(deck),
      comm_(checked(deck, comm)),
      hook_(hook),
      stream_seed_(stream_seed(deck)),
      batch_(deck.integer("data.batch")),
      accumulate_(deck.integer("train.accumulate")),
      grid_(comm, grid_shape(deck, comm.size())),
      share_((batch_ + grid_.shape().data - 1) / grid_.shape().data),
      network_(deck, largest_pass(deck, grid_.shape()), Network<T>::Use::training, grid_),
      train_data_(comm, deck.text("data.train"), shard_names(deck), network_.input_shape(), label_demand(deck, network_.input_shape(), network_.output_shape())),
      batches_(train_data_, io_, stream_options()),
      stager_(deck, train_data_, network_.input_shape(), network_.output_shape(), network_.largest_batch(), staged_part(network_)),
      loss_(deck, network_, grid_),
      reducer_(grid_.reduction(), network_.gradients_and_control(), cuts(network_), ReduceOptions::from(deck, network_.arena_size())),
      optimizer_(deck, network_, reducer_.shards(), norm_scope()),
      control_("trireme::trainer::control", control_read),
      sharer_sums_(grid_),
      slow_down_(SlowDown::from_environment(comm.rank())),
      passes_(static_cast<std::size_t>(network_.parallel_plan().micro_batches())),
      replays_(!on_host && deck.boolean("train.graph") && !deck.boolean("train.profile") && comm.size() == 1 && passes_.size() == 1 && !network_.draws()),
      epoch_steps_((batches_.batches() + accumulate_ - 1) / accumulate_),
      total_steps_(deck.integer("train.epochs") * epoch_steps_),
      schedule_(deck, epoch_steps_, deck.integer("train.steps") > 0 ? std::min(total_steps_, deck.integer("train.steps")) : total_steps_),
      trace_(deck.boolean("train.trace")),
      time_limit_(deck.real("run.time_limit"), deck.real("run.time_margin"), checkpoint_guess()) {
  if (const std::int64_t limit = deck.integer("train.steps"); limit > 0) total_steps_ = std::min(total_steps_, limit);
  if (const double decay = deck.real("train.ema"); decay > 0) average_.emplace(network_, decay);
  if (!deck.text("data.test").empty() && deck.integer("train.evaluate_every") > 0) {
    test_data_.emplace(comm, deck.text("data.test"), shard_names(deck), network_.input_shape(), train_data_.labels());
    evaluator_.emplace(deck, grid_, network_, *test_data_, io_, evaluation_batch());
  }
  if (deck.text("parallel.balance") == "measured" && grid_.shape().data > 1)
    balancer_.emplace(comm, grid_.place().data, grid_.shape().data, batch_, most_of_batch(deck, grid_.shape()));
  if (deck.boolean("train.profile")) begin_profile();
  reducer_.measure(exec_);
  if (deck.text("numerics.on_nonfinite") != "stop") finite_check_.emplace(network_, grid_, reducer_.shards().whole());
  resume(dry);
}

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
    if (comm_.rank() == 0) occupied = !list_checkpoints(path).empty();
    if (comm_.all_reduce(occupied ? 1 : 0, MPI_MAX) != 0)
      throw checkpoint_error("checkpoint.resume = never, but run directory '{}' holds checkpoints, which a new run would overwrite. Hint: set run.output to "
                             "another folder, remove this one, or say auto to continue", path.string());
  }
  if (from) {
    progress_ = load_snapshot<T>(*from, comm_, network_, &optimizer_, average_ ? &*average_ : nullptr, &reducer_);
    if (progress_.epoch_steps != epoch_steps_ || progress_.batch % accumulate_ != 0)
      throw checkpoint_error("checkpoint '{}' counts epochs of {} steps; this run has {} ({} samples, data.batch = {}, train.accumulate = {}), so its place in "
                             "the data would be lost. Hint: go on with the data set, data.batch and train.accumulate of the checkpoint, or set run.output to "
                             "another folder to start anew", from->string(), progress_.epoch_steps, epoch_steps_, train_data_.size(), batch_, accumulate_);
  } else {
    network_.initialize(static_cast<std::uint64_t>(deck_.integer("run.seed")));
    progress_.epoch_steps = epoch_steps_;
  }
  return from;
}

template <class T>
void Trainer<T>::resume(bool dry) {
  const auto path = run_path(deck_);
  const auto newest = [&] {
    const auto files = comm_.rank() == 0 ? list_checkpoints(path) : std::vector<std::filesystem::path>();
    return comm_.broadcast(files.empty() ? std::string() : files.front().string());
  };
  const std::string seen = newest();
  auto from = stand_where_it_stood(path);
  if (!dry) {
    // A start that is refused changes nothing, so the directory is taken over only now. From here on no other run adds a checkpoint; one that came in between
    // is what this run goes on from.
    ownership_.emplace(comm_, path);
    if (newest() != seen) from = stand_where_it_stood(path);
  }
  first_step_ = logged_step_ = progress_.step;
  last_checkpoint_ = from && from->parent_path().parent_path() == path ? progress_.step : -1;
  if (!dry) {
    directory_.emplace(comm_, deck_, path, from ? progress_.step : -1);
    keeper_.emplace(deck_, comm_, io_, *directory_, *ownership_);
  }

  const auto summary = network_.summary();
  log::info("Trireme {}  |  {} rank(s) x {} thread(s), {}, gemm: {}  |  {}", TRIREME_VERSION, comm_.size(), exec_.concurrency(), Execution::name(),
            gemm_provider(), deck_.text("train.precision"));
  if (grid_.shape().model_ranks() > 1) log::info("grid: {}", grid_.shape().text());
  log::info("deck {}  ->  {}", deck_.origin(), path.string());
  log::info("network: {} parameters, {:.2f} M multiply-adds a sample\n{}", summary.parameters, static_cast<double>(summary.multiply_adds) * 1e-6,
            network_.describe());
  log::info("memory a rank: parameters and gradients {}, activations {}, workspace {}", human_bytes(2.0 * static_cast<double>(summary.arena_bytes)),
            human_bytes(static_cast<double>(summary.temporary_bytes)), human_bytes(static_cast<double>(summary.workspace_bytes)));
  log::info("data: {} training samples in {} shard(s){}; batch {}{}, {} steps an epoch, {} steps in all", train_data_.size(), train_data_.shards().size(),
            test_data_ ? fmt::format(", {} test samples", test_data_->size()) : std::string(), batch_, accumulate_ > 1 ? fmt::format(" ({} a step)", accumulate_) : std::string(),
            epoch_steps_, total_steps_);
  if (grid_.reduction().size() > 1) log::info("reduce over {}", reducer_.plan());
  if (time_limit_.exists())
    log::info("time limit in {}: a checkpoint and a stop when {} are left (a checkpoint and a step, as measured, come to it)",
              human_seconds(time_limit_.left(TimeLimit::now())), human_seconds(time_limit_.needed()));
  if (from) log::info("continuing from '{}' at step {}", from->string(), progress_.step);
  if (directory_)
    directory_->event({{"event", "start"}, {"step", progress_.step}, {"epoch", progress_.epoch}, {"name", deck_.text("run.name")}, {"ranks", comm_.size()},
                     {"threads", exec_.concurrency()}, {"batch", batch_}, {"accumulate", accumulate_}, {"samples", train_data_.size()}, {"parameters", summary.parameters},
                     {"total_steps", total_steps_}});
}

template <class T>
BatchStream::Options Trainer<T>::stream_options() const {
  BatchStream::Options options{.batch = batch_,
                               .rank = grid_.place().data,
                               .ranks = grid_.shape().data,
                               .most = deck_.text("parallel.balance") == "measured" ? most_of_batch(deck_, grid_.shape()) : 0,
                               .order = deck_.boolean("data.shuffle") ? BatchStream::Order::shuffled : BatchStream::Order::stored,
                               .seed = stream_seed_,
                               .chunk = deck_.integer("data.chunk"),
                               .window = deck_.integer("data.window"),
                               .cache_bytes = deck_.integer("data.cache") * 1024 * 1024};
  read_part(options, deck_, network_, train_data_, true);
  return options;
}

/// Of parameters that lie whole on every rank of the tensor axis, the first one's count.
template <class T>
NormScope Trainer<T>::norm_scope() const {
  NormScope scope{.shards = &grid_.reduction()};
  if (grid_.model().size() == 1) return scope;
  scope.model = &grid_.model();
  std::map<std::string, std::int32_t> numbers;
  for (const WholeArray& array : network_.whole_parameters()) numbers.emplace(array.name, static_cast<std::int32_t>(numbers.size()));
  for (const Parameter& parameter : network_.parameters()) {
    scope.counts.push_back(grid_.place().tensor == 0 || !(parameter.whole() == parameter.shape) ? 1 : 0);
    scope.global_number.push_back(numbers.at(parameter.name));
  }
  scope.global_parameters = static_cast<std::int32_t>(numbers.size());
  return scope;
}

template <class T>
void Trainer<T>::step() {
  const Timer timer;
  own_ = {};
  const std::int64_t batches = std::min(accumulate_, batches_.batches() - progress_.batch), first = progress_.batch * batch_;
  const std::int64_t samples = std::min(first + batches * batch_, train_data_.size()) - first;
  now_in_step(progress_.step + 1);
  wants_stop_ = stop_signal_.received() != 0 || (comm_.rank() == 0 && time_limit_.near(TimeLimit::now()));
  grid_.meters().begin_step();
  if (profile_) profile_->begin_step(exec_);
  network_.zero_gradients(exec_);
  mark(parts_.zero);
  for (std::int64_t b = 0; b < batches; ++b) accumulate(b * batch_, samples, b + 1 == batches);
  {
    const Trace::Phase phase(trace_, "reduce", seconds_.reduce);
    reducer_.finish(exec_);
    mark(parts_.reduce);
  }
  const bool finite = !finite_check_ || finite_check_->passes(exec_);
  if (finite) {
    const Trace::Phase phase(trace_, "update", seconds_.update);
    optimizer_.update(exec_, progress_.lr_scale * schedule_.at(progress_.step), progress_.step);
    reducer_.begin_gather(exec_, network_.values());
    network_.update_buffers(exec_, samples);
    reducer_.finish_gather(exec_);
    if (average_) average_->update(exec_, progress_.step);
    mark(parts_.update);
  }
  if (!on_host && progress_.step + 1 < total_steps_) prefetch();
  account(samples, batches);
  mark(parts_.account);
  if (profile_) profile_->end_step();
  grid_.meters().end_step();
  seconds_.step += timer.seconds();
  if (!finite) return meet_nonfinite();
  skipped_in_row_ = 0;
  if (balancer_) balance(timer.seconds());
}

template <class T>
void Trainer<T>::accumulate(std::int64_t before, std::int64_t samples, bool last) {
  const HostBatch* batch = nullptr;
  {
    const Trace::Phase phase(trace_, "data wait", seconds_.data);
    if (before > 0) exec_.fence("trireme::trainer: the batch before is not read any more");
    batch = &next_batch();
    mark(parts_.data);
  }
  const Timer timer;
  train_on(*batch, before, samples, last);
  if (!balancer_ && !slow_down_.active()) return;
  exec_.fence("trireme::trainer: the batch's work is measured");
  slow_down_.after(timer.seconds());
  own_.seconds += timer.seconds();
  own_.samples += batch->count;
}

template <class T>
void Trainer<T>::train_on(const HostBatch& batch, std::int64_t before, std::int64_t samples, bool last) {
  const auto parts = static_cast<std::int64_t>(passes_.size());
  const auto slice_of_share = [&](std::int64_t m) { return share_of(batch.count, static_cast<int>(m), static_cast<int>(parts)); };
  for (std::int64_t m = 0; m < parts; ++m) {
    const Share part = slice_of_share(m);
    passes_[static_cast<std::size_t>(m)] = {.exec = exec_,
                                            .samples = part.count,
                                            .training = true,
                                            .seed = stream_seed_,
                                            .step = progress_.step,
                                            .first_sample = before + batch.first + part.first,
                                            .copies = grid_.shape().spatial_ranks(),
                                            .sum_over = sharer_sums_.function()};
  }
  if (parts == 1) {
    forward(passes_[0], batch, samples);
    if (!replays_) backward(passes_[0], last);
    return;
  }
  // One forward, one backward (Narayanan et al. 2019, PipeDream-Flush): a stage is as many micro-batches ahead as there are stages behind it, and keeps
  // no more than these.
  const std::int64_t ahead = std::min<std::int64_t>(grid_.shape().pipeline - grid_.place().pipeline - 1, parts);
  const auto select = [&](std::int64_t m) { network_.select(static_cast<int>(m % network_.slots())); };
  for (std::int64_t m = 0; m < parts + ahead; ++m) {
    if (m < parts) {
      const Share part = slice_of_share(m);
      if (!on_host) exec_.fence("trireme::trainer: staging memory is not read any more");
      select(m);
      forward(passes_[static_cast<std::size_t>(m)], part_of(batch, part.first, part.count), samples);
    }
    if (m >= ahead) {
      select(m - ahead);
      backward(passes_[static_cast<std::size_t>(m - ahead)], last && m - ahead + 1 == parts);
    }
  }
}

template <class T>
void Trainer<T>::forward(const Pass& pass, const HostBatch& batch, std::int64_t samples) {
  const Trace::Phase phase(trace_, "forward", seconds_.forward);
  const T stop = wants_stop_ ? T{1} : T{0}, fault = keeper_ && keeper_->poll() ? T{1} : T{0};
  const Targets<T> targets = stager_.load(pass, batch, network_.input());
  mark(parts_.stage);
  // Ranks that have the same outputs count one sample's loss once together.
  const std::int64_t copies = network_.output_box() ? 1 : pass.copies;
  const double share = network_.place().last_stage() ? 1 / static_cast<double>(copies) : 0;
  if (replays_) {
    replay(pass, samples, targets);
    return add_to_control<T>(exec_, loss_.value(), share, stop, fault, network_.control());
  }
  network_.forward(pass);
  if (network_.place().last_stage()) loss_.apply(exec_, pass.samples, samples * copies, network_.output(), targets, network_.output_gradient());
  add_to_control<T>(exec_, loss_.value(), share, stop, fault, network_.control());
  mark(parts_.loss);
}

template <class T>
void Trainer<T>::backward(const Pass& pass, bool last) {
  const Trace::Phase phase(trace_, "backward", seconds_.backward);
  network_.backward(pass, [&](std::int64_t offset) {
    if (last) reducer_.ready(exec_, offset);
  });
}

template <class T>
void Trainer<T>::replay(const Pass& pass, std::int64_t samples, const Targets<T>& targets) {
  const auto place = [](const void* memory) { return static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(memory)); };
  recording_.run(exec_, {pass.samples, samples, place(targets.classes.data()), place(targets.values.data())}, [&] {
    network_.forward(pass);
    loss_.apply(exec_, pass.samples, samples, network_.output(), targets, network_.output_gradient());
    network_.backward(pass, [](std::int64_t) {});
  });
}

template <class T>
void Trainer<T>::prefetch() {
  const Trace::Phase phase(trace_, "data wait", seconds_.data);
  try {
    prefetched_ = &batches_.next();
    if (passes_.size() == 1) stager_.stage(*prefetched_);
  } catch (const Error&) {
    prefetch_error_ = std::current_exception();
  }
}

template <class T>
const HostBatch& Trainer<T>::next_batch() {
  if (prefetch_error_) std::rethrow_exception(std::exchange(prefetch_error_, nullptr));
  const HostBatch* const taken = std::exchange(prefetched_, nullptr);
  return taken != nullptr ? *taken : batches_.next();
}

template <class T>
void Trainer<T>::account(std::int64_t samples, std::int64_t batches) {
  Kokkos::deep_copy(exec_, control_, slice<T>(network_.control(), 0, control_read));
  exec_.fence("trireme::trainer: the step's loss to the host");
  double loss = static_cast<double>(control_(loss_slot)), stops = static_cast<double>(control_(stop_slot)),
         faults = static_cast<double>(control_(fault_slot));
  if (grid_.model().size() > 1) {
    std::array<double, 3> told{(grid_.place().tensor == 0 || loss_.is_part()) && network_.place().last_stage() ? loss : 0, stops, faults};
    grid_.model().all_reduce(std::span<double>(told));
    loss = told[0], stops = told[1], faults = told[2];
  }
  last_loss_ = loss_.mean(loss, samples);
  stop_ = stops > 0;
  if (std::isfinite(loss)) progress_.epoch_loss += loss, progress_.epoch_samples += samples;
  samples_done_ += samples;
  ++progress_.step;
  progress_.batch += batches;
  if (progress_.batch == batches_.batches()) ++progress_.epoch, progress_.batch = 0;
  if (faults > 0) keeper_->raise();
  if (!finite_check_ && !std::isfinite(last_loss_))
    throw fail(ExitCode::numerical, "the loss of step {} is {}. Training cannot go on; the last checkpoint stays usable. Hint: lower optimizer.lr, warm up, "
               "set optimizer.clip_norm, or numerics.on_nonfinite = skip or rollback", progress_.step, last_loss_);
}

template <class T>
void Trainer<T>::balance(double step_seconds) {
  balancer_->add(own_.seconds, step_seconds, own_.samples);
  const auto shares = balancer_->decide();
  if (!shares) return;
  // Not from the next batch on, which a device has taken already.
  batches_.set_shares(*shares, progress_.epoch, progress_.batch + 1);
  log_shares();
}

template <class T>
std::int64_t Trainer<T>::samples_of(std::int64_t step) const {
  return step / epoch_steps_ * train_data_.size() + std::min(step % epoch_steps_ * accumulate_ * batch_, train_data_.size());
}

template <class T>
std::int64_t Trainer<T>::evaluation_batch() const {
  const std::int64_t wanted = deck_.integer("data.test_batch");
  return wanted > 0 && passes_.size() == 1 ? wanted : network_.largest_batch() * grid_.shape().data;
}

template <class T>
std::vector<Buffer<T>> Trainer<T>::model_arrays() const {
  std::vector<Buffer<T>> arrays{network_.value_arena(), network_.buffer_arena()};
  if (average_) arrays.push_back(average_->values());
  return arrays;
}

template <class T>
ExitCode Trainer<T>::run() {
  const Watchdog watchdog(comm_, deck_.real("run.hang_timeout"), directory_->path(), ownership_->token());
  try {
    return run_steps();
  } catch (const std::exception& error) {
    // Where only some ranks fail, the job ends here: before memory goes that other ranks' messages may still come to.
    end_where_some_fail(comm_, error);
    throw;
  }
}

template <class T>
ExitCode Trainer<T>::run_steps() {
  const std::int64_t log_every = deck_.integer("train.log_every"), save_every = deck_.integer("checkpoint.every");
  if (progress_.step >= total_steps_) log::info("nothing to do: step {} of {} is reached already", progress_.step, total_steps_);
  if (hook_ != nullptr) hook_->begin(*this);
  if (progress_.step < total_steps_) {
    begin();
    keeper_->prepare(take_snapshot<T>(deck_, grid_, network_, optimizer_, average_ ? &*average_ : nullptr, reducer_, exec_, progress_).arrays);
  }
  clock_.reset();
  if (deck_.text("numerics.on_nonfinite") == "rollback" && last_checkpoint_ < 0) checkpoint();  // where to go back to
  while (progress_.step < total_steps_ && !stop_) {
    if (hook_ != nullptr && !hook_->before_step(*this)) {
      stop_ = true;
      break;
    }
    const std::int64_t before = progress_.step;
    step();
    if (progress_.step <= before) continue;  // rolled back
    if (hook_ != nullptr) hook_->after_step(*this);
    if (progress_.step % log_every == 0 || progress_.step == total_steps_) log_step();
    if (progress_.batch == 0) end_epoch();
    if (save_every > 0 && progress_.step % save_every == 0) checkpoint();
  }
  const bool stopped = stop_ && progress_.step < total_steps_;
  checkpoint();
  keeper_->finish(true);
  if (hook_ != nullptr) hook_->end(*this, stopped);
  finish(stopped);
  return stopped ? ExitCode::requeue : ExitCode::done;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace trireme
