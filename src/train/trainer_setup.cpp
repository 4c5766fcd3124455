// How a run is built, and goes to where its run directory stands.
#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "kokkos_kernels/gemm.hpp"
#include "train/shard_names.hpp"
#include "train/trainer.hpp"

namespace trireme {

namespace {

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
      lanes_(lanes_of(deck, grid_.shape())),
      network_(deck, largest_pass(deck, grid_.shape()), Network<T>::Use::training, grid_),
      train_data_(comm, deck.text("data.train"), shard_names(deck), network_.input_shape(), label_demand(deck, network_.input_shape(), network_.output_shape())),
      batches_(train_data_, io_, stream_options()),
      stager_(deck, train_data_, network_.input_shape(), network_.output_shape(), network_.largest_batch(), staged_part(network_, true)),
      loss_(deck, network_, grid_),
      reducer_(grid_.reduction(), network_.gradients_and_control(), cuts(network_), ReduceOptions::from(deck, grid_.shape(), network_.arena_size())),
      optimizer_(deck, network_, reducer_.shards(), norm_scope()),
      control_("trireme::trainer::control", control_read),
      sharer_sums_(grid_),
      slow_down_(SlowDown::from_environment(comm.rank())),
      passes_(static_cast<std::size_t>(network_.parallel_plan().micro_batches())),
      replays_(!on_host && lanes_ == 0 && deck.boolean("train.graph") && !deck.boolean("train.profile") && comm.size() == 1 && passes_.size() == 1 &&
               !network_.draws()),
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
  const std::string moves = augmentation_text(deck_, train_data_, network_.input_shape(), network_.output_shape());
  if (!moves.empty()) log::info("{}", moves);
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
                               .lanes = lanes_,
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

#define TRIREME_INSTANTIATE(T)                                                                       \
  template Trainer<T>::Trainer(const Deck&, const Communicator&, StepHook<T>*, bool);                \
  template std::optional<std::filesystem::path> Trainer<T>::stand_where_it_stood(const std::filesystem::path&); \
  template void Trainer<T>::resume(bool);                                                            \
  template BatchStream::Options Trainer<T>::stream_options() const;                                  \
  template NormScope Trainer<T>::norm_scope() const;
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
