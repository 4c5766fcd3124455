#include "train/data_loader.hpp"

#include <utility>

#include "base/error.hpp"
#include "base/random.hpp"
#include "losses/loss_function.hpp"
#include "train/local_batch.hpp"
#include "train/norm_values.hpp"
#include "train/reading.hpp"
#include "train/test_evaluation.hpp"

namespace trireme {

namespace {

/// The seed of the order of samples, augmentation and dropout. Stream 0 is the seed itself: runs without streams keep their bits.
std::uint64_t stream_seed(const Deck& deck) {
  const auto seed = static_cast<std::uint64_t>(deck.integer("run.seed")), stream = static_cast<std::uint64_t>(deck.integer("run.stream"));
  return stream == 0 ? seed : mix(mix(seed, 0x73747265616dull), stream);  // "stream"
}

template <class T>
DataSet training_data(const RunContext& run, const Network<T>& network) {
  DataSet data(run.comm, run.deck.text("data.train"), shard_names(run.deck), network.input_shape(),
               label_demand(run.deck, network.input_shape(), network.output_shape()));
  if (const auto held_out = held_out_rows(run.deck)) data.select(*held_out, false);
  return data;
}

template <class T>
BatchStream::Options stream_options(const RunContext& run, const Network<T>& network, const DataSet& data) {
  const Deck& deck = run.deck;
  BatchStream::Options options{.batch = deck.integer("data.batch"),
                               .rank = run.grid.place().data,
                               .ranks = run.grid.shape().data,
                               .most = deck.text("parallel.balance") == "measured" ? most_of_batch(deck, run.grid.shape()) : 0,
                               .virtual_ranks = virtual_ranks_of(deck, run.grid.shape()),
                               .order = deck.boolean("data.shuffle") ? BatchStream::Order::shuffled : BatchStream::Order::stored,
                               .seed = stream_seed(deck),
                               .chunk = deck.integer("data.chunk"),
                               .window = deck.integer("data.window"),
                               .cache_bytes = deck.integer("data.cache") * 1024 * 1024};
  read_part(options, deck, network, data, true);
  return options;
}

}  // namespace

template <class T>
DataLoader<T>::DataLoader(RunContext& run, const Network<T>& network)
    : data_(training_data(run, network)),
      options_(stream_options(run, network, data_)),
      stream_(data_, run.io, options_),
      stager_(run.deck, data_, network.input_shape(), network.output_shape(), network.largest_batch(), staged_part(network, true)),
      stages_ahead_(network.parallel_plan().micro_batches() == 1 && options_.virtual_ranks == 0) {
  if (run.deck.real("data.mixup") > 0 && network.parallel_plan().micro_batches() > 1)
    throw usage_error(
        "data.mixup = {} mixes the samples of a pass, and with {} micro-batches per virtual rank these would depend on the stages. Hint: set "
        "parallel.micro_batches = 1, or data.mixup = 0",
        run.deck.text("data.mixup"), network.parallel_plan().micro_batches());
  require_norm_values(network.parallel_plan(), run.deck, data_.size());
}

template <class T>
void DataLoader<T>::seek(std::int64_t epoch, std::int64_t batch) {
  prefetched_ = nullptr;
  prefetch_error_ = nullptr;
  stager_.discard();
  stream_.seek(epoch, batch);
}

template <class T>
const HostBatch& DataLoader<T>::next() {
  if (prefetch_error_) std::rethrow_exception(std::exchange(prefetch_error_, nullptr));
  const HostBatch* const taken = std::exchange(prefetched_, nullptr);
  return taken != nullptr ? *taken : stream_.next();
}

template <class T>
void DataLoader<T>::prefetch() {
  try {
    prefetched_ = &stream_.next();
    if (stages_ahead_) stager_.stage(*prefetched_);
  } catch (const Error&) {
    prefetch_error_ = std::current_exception();
  }
}

template class DataLoader<float>;
template class DataLoader<double>;

}  // namespace trireme
