// How a run is built, and goes to where its run directory stands.
#include <algorithm>
#include <map>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "comm/cpu_placement.hpp"
#include "data/verify.hpp"
#include "kokkos_kernels/gemm.hpp"
#include "train/norm_values.hpp"
#include "train/reading.hpp"
#include "train/run_folder.hpp"
#include "train/trainer.hpp"

namespace trireme {

namespace {

constexpr const char* memory_hint = "a smaller data.batch, data.cache or data.window, fewer ranks a node, optimizer.shard = true, or other axes of [parallel]; "
                                    "trireme plan says what each rank needs";

constexpr const char* size_hint = "fewer channels or features, parallel.tensor or parallel.pipeline over more nodes, optimizer.shard = true, or fewer ranks a node; "
                                  "trireme plan says what each rank needs";

template <class T>
const Communicator& checked(const Deck& deck, const Communicator& comm) {
  if (deck.text("data.train").empty()) throw usage_error("{}: data.train is not given; training needs a data set", deck.origin());
  const GridShape grid = grid_shape(deck, comm.size());
  const Network<T> network(deck, largest_pass(deck, grid), Network<T>::Use::training, GridPlace(grid, comm.rank()));
  const RunMemory memory = run_memory(deck, grid, network);
  const bool of_samples = memory.activations > memory.parameters;
  require_node_memory(comm, memory.total(), "parameters, gradients, state and activations", of_samples ? memory_hint : size_hint);
  return comm;
}

// Stream 0 is the seed itself: runs without streams keep their bits.
std::uint64_t stream_seed(const Deck& deck) {
  const auto seed = static_cast<std::uint64_t>(deck.integer("run.seed")), stream = static_cast<std::uint64_t>(deck.integer("run.stream"));
  return stream == 0 ? seed : mix(mix(seed, 0x73747265616dull), stream);  // "stream"
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
      resident_before_(resident_memory().now),
      comm_(checked<T>(deck, comm)),
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
      reducer_(grid_.reduction(), network_.gradients_and_control(), cuts(network_), reduce_options()),
      optimizer_(deck, network_, reducer_.shards(), norm_scope()),
      control_("trireme::trainer::control", control_read),
      sharer_sums_(grid_),
      slow_down_(SlowDown::from_environment(comm.rank())),
      passes_(static_cast<std::size_t>(network_.parallel_plan().micro_batches())),
      replays_(!on_host && lanes_ == 0 && deck.boolean("train.graph") && !deck.boolean("train.profile") && comm.size() == 1 && passes_.size() == 1 &&
               !network_.draws()),
      epoch_steps_((batches_.batches() + accumulate_ - 1) / accumulate_),
      total_steps_(checked_mul(deck.integer("train.epochs"), epoch_steps_, "train.epochs = {} times the steps of an epoch", deck.integer("train.epochs"))),
      schedule_(deck, epoch_steps_, deck.integer("train.steps") > 0 ? std::min(total_steps_, deck.integer("train.steps")) : total_steps_),
      trace_(deck.boolean("train.trace")),
      time_limit_(deck.real("run.time_limit"), deck.real("run.time_margin"), checkpoint_guess()),
      save_after_(60 * deck.real("checkpoint.minutes")) {
  require_norm_values(network_.parallel_plan(), deck, train_data_.size());
  if (const std::int64_t limit = deck.integer("train.steps"); limit > 0) total_steps_ = std::min(total_steps_, limit);
  if (const double decay = deck.real("train.ema"); decay > 0) average_.emplace(network_, decay);
  if (!deck.text("data.test").empty() && deck.integer("train.evaluate_every") > 0) {
    test_data_.emplace(comm, deck.text("data.test"), train_data_.names(), network_.input_shape(), train_data_.labels());
    evaluator_.emplace(deck, grid_, network_, *test_data_, io_, evaluation_batch());
  }
  if (deck.text("parallel.balance") == "measured" && grid_.shape().data > 1)
    balancer_.emplace(comm, grid_.place().data, grid_.shape().data, batch_, most_of_batch(deck, grid_.shape()));
  if (deck.boolean("train.profile")) begin_profile();
  planned_ = run_memory(deck, grid_.shape(), network_);
  planned_.data = batches_.memory() + (evaluator_ ? evaluator_->data_memory() : 0);
  require_node_memory(comm, planned_.total(), "the run with the rows of its data", memory_hint);
  reducer_.measure(exec_);
  if (deck.text("numerics.on_nonfinite") != "stop") finite_check_.emplace(network_, grid_, reducer_.shards().whole());
  fingerprint_ = fingerprint();
  resume(dry);
}

template <class T>
void Trainer<T>::resume(bool dry) {
  const auto path = run_path(deck_);
  require_run_folder(comm_, path);
  const auto newest = [&] {
    std::vector<std::filesystem::path> files;
    comm_.together([&] {
      if (comm_.rank() == 0) files = list_checkpoints(path);
    });
    return comm_.broadcast(files.empty() ? std::string() : files.front().string());
  };
  const std::string seen = newest();
  auto from = stand_where_it_stood(path);
  over_ = from && from->parent_path().parent_path() == path && is_over(path);
  if (!dry && !over_) {
    // A start that is refused changes nothing, so the directory is taken over only now. From here on no other run adds a checkpoint; one that came in between
    // is what this run goes on from.
    ownership_.emplace(comm_, path);
    if (newest() != seen) from = stand_where_it_stood(path);
  }
  first_step_ = logged_step_ = progress_.step;
  last_checkpoint_ = from && from->parent_path().parent_path() == path ? progress_.step : -1;
  if (!dry && !over_) {
    directory_.emplace(comm_, deck_, path, from ? progress_.step : -1, ownership_->token());
    keeper_.emplace(deck_, comm_, io_, *directory_, *ownership_);
  }

  const auto summary = network_.summary();
  log::info("Trireme {}  |  {} rank(s) x {} thread(s), {}, gemm: {}  |  {}", TRIREME_VERSION, comm_.size(), exec_.concurrency(), Execution::name(),
            gemm_provider(), deck_.text("train.precision"));
  if (grid_.shape().model_ranks() > 1) log::info("grid: {}", grid_.shape().text());
  log::info("deck {}  ->  {}", deck_.origin(), path.string());
  log::info("network: {} parameters, {:.2f} M multiply-adds a sample\n{}", summary.parameters, static_cast<double>(summary.multiply_adds) * 1e-6,
            network_.describe());
  const auto bytes = [](std::int64_t n) { return human_bytes(static_cast<double>(n)); };
  log::info("memory a rank: {} planned: parameters {}, gradients {}, state {}, activations {}, workspace {}, messages {}, evaluation {}, checkpoint {}, data {}; "
            "beside it the program itself, {} now", bytes(planned_.total()), bytes(planned_.parameters), bytes(planned_.gradients),
            bytes(planned_.state + planned_.average), bytes(planned_.activations), bytes(planned_.workspace), bytes(planned_.messages), bytes(planned_.evaluation),
            bytes(planned_.checkpoint), bytes(planned_.data), bytes(resident_before_));
  log::info("data: {} training samples in {} shard(s){}; batch {}{}, {} steps an epoch, {} steps in all", train_data_.size(), train_data_.shards().size(),
            test_data_ ? fmt::format(", {} test samples", test_data_->size()) : std::string(), batch_, accumulate_ > 1 ? fmt::format(" ({} a step)", accumulate_) : std::string(),
            epoch_steps_, total_steps_);
  if (deck_.boolean("data.allow_unwritten") && comm_.rank() == 0)
    log::warn("data.allow_unwritten = true: rows that were never written, or whose source is missing, are trained on as fill values");
  const std::string moves = augmentation_text(deck_, train_data_, network_.input_shape(), network_.output_shape());
  if (!moves.empty()) log::info("{}", moves);
  if (!dry) {
    std::vector<const DataSet*> sets{&train_data_};
    if (test_data_) sets.push_back(&*test_data_);
    verify_data(comm_, io_, deck_.text("data.verify"), sets);
  }
  if (grid_.reduction().size() > 1) log::info("reduce over {}", reducer_.plan());
  if (time_limit_.exists())
    log::info("time limit in {}: a checkpoint and a stop when {} are left (a checkpoint and a step, as measured, come to it)",
              human_seconds(time_limit_.left(TimeLimit::now())), human_seconds(time_limit_.needed()));
  if (from) log::info("continuing from '{}' at step {}", from->string(), progress_.step);
  if (CpuPlacement::cores() > 0) log::info("threads: {} rank(s) x {} thread(s) on {} core(s)", comm_.size(), exec_.concurrency(), CpuPlacement::cores());
  say_what_changed();
  nlohmann::json changed = nlohmann::json::object();
  for (const DeckChange& change : changes_) changed[change.key] = {change.before, change.after};
  if (directory_)
    directory_->event({{"event", "start"}, {"step", progress_.step}, {"epoch", progress_.epoch}, {"name", deck_.text("run.name")}, {"ranks", comm_.size()},
                     {"threads", exec_.concurrency()}, {"batch", batch_}, {"accumulate", accumulate_}, {"samples", train_data_.size()}, {"parameters", summary.parameters},
                     {"total_steps", total_steps_}, {"changed", changed}});
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
  template void Trainer<T>::resume(bool);                                                            \
  template BatchStream::Options Trainer<T>::stream_options() const;                                  \
  template NormScope Trainer<T>::norm_scope() const;
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
