#include "train/run_memory.hpp"

#include <algorithm>
#include <fstream>
#include <string>

#include "base/error.hpp"
#include "base/machine_memory.hpp"
#include "base/share.hpp"
#include "base/text.hpp"
#include "losses/loss_function.hpp"
#include "metrics/metrics.hpp"
#include "metrics/output_sums.hpp"
#include "optim/optimizer.hpp"
#include "reduction/gradient_reducer.hpp"

namespace trireme {

namespace {

/// Bytes for checkpoints on this rank: the staging copy, and temporary arrays that are freed after the copy.
template <class T>
std::int64_t checkpoint_memory(const Deck& deck, const GridShape& grid, const Network<T>& network, std::int64_t states) {
  const auto size = static_cast<std::int64_t>(sizeof(T));
  const bool averages = deck.real("train.ema") > 0, owes = deck.text("parallel.reduce_dtype") == "bf16";
  const std::int64_t ranks = grid.ranks(), reducers = grid.data * grid.spatial_ranks(), arrays = 1 + (averages ? 1 : 0) + states + (owes ? 1 : 0);
  std::int64_t whole = 0;
  for (const WholeArray& array : network.whole_parameters()) whole += array.shape.size() * size;
  const bool parts = grid.model_ranks() > grid.spatial_ranks(), shards = deck.boolean("optimizer.shard") && reducers > 1;
  // If ranks hold parts of the model, each assembles whole arrays.
  const std::int64_t joined = parts ? arrays * whole : owes ? whole : 0;
  // Rows of a ZeRO partition are received in the staging buffer.
  const std::int64_t waiting = deck.boolean("checkpoint.async") ? arrays * whole / ranks : shards && !parts ? states * whole / reducers : 0;
  return joined + waiting;
}

}  // namespace

template <class T>
RunMemory run_memory(const Deck& deck, const GridShape& grid, const Network<T>& network) {
  const auto size = static_cast<std::int64_t>(sizeof(T));
  const std::int64_t reducers = grid.data * grid.spatial_ranks(), states = static_cast<std::int64_t>(optimizer_states(deck).size());
  const auto summary = network.summary();
  RunMemory memory;
  memory.parameters = summary.arena_bytes;
  const auto reduce = ReduceOptions::from(deck, grid, network.arena_size());
  memory.gradients = (network.gradient_elements() + reduce.virtual_rank_memory(network.gradient_elements(), network.place().spatial_rank())) * size;
  memory.state = states * (deck.boolean("optimizer.shard") ? (summary.arena_bytes + reducers - 1) / reducers : summary.arena_bytes);
  memory.average = deck.real("train.ema") > 0 ? summary.arena_bytes : 0;
  memory.activations = summary.temporary_bytes;
  memory.workspace = summary.workspace_bytes;
  memory.messages = summary.message_bytes + loss_message_elements(deck, network) * network.largest_batch() * size;
  if (deck.boolean("optimizer.shard") && reducers > 1) {
    // MPI receives others' parts of a bucket that it reduces and scatters into memory of its own. A bucket holds whole parameters.
    std::int64_t bucket = static_cast<std::int64_t>(deck.real("parallel.bucket") * 1024 * 1024);
    for (const Parameter& parameter : network.parameters()) bucket = std::max(bucket, parameter.shape.size() * size);
    memory.mpi = std::min(bucket, summary.arena_bytes) / reducers;
  }
  memory.checkpoint = checkpoint_memory(deck, grid, network, states);

  const std::vector<LossTerm> terms = loss_terms(deck, network.output_shape());
  LossTargets compared = terms.front().targets;  // of several losses: values of the output's shape
  if (terms.size() > 1) compared = LossTargets{.shape = network.output_shape()};
  const bool classes = compared.classes > 0, tests = !deck.text("data.test").empty() && deck.integer("train.evaluate_every") > 0;
  const std::int64_t samples = network.largest_batch(), outputs = network.local_output().size();
  const std::int64_t pixels = outputs / std::max<std::int64_t>(1, network.output_shape()[0]);
  const std::int64_t targets = compared.numbers() ? 0 : samples * (compared.maps() ? pixels : outputs) * size;
  memory.evaluation = targets;
  if (tests) {
    const std::int64_t gathered = network.output_cuts().empty() || outputs == 0 ? outputs : network.output_shape().size();
    const std::int64_t confusion = classes && compared.classes <= Metrics::most_confused ? compared.classes * compared.classes : 0;
    const std::int64_t virtual_ranks = std::max<std::int64_t>(1, deck.integer("data.virtual_ranks") / std::max(1, grid.data));
    memory.evaluation += targets + (network.output_cuts().empty() ? 0 : samples * gathered * size) +
                         (classes ? 8 * confusion : static_cast<std::int64_t>(sizeof(OutputSums)) * gathered * virtual_ranks);
    // Class counts on the host, their sum over ranks, and their form in the record.
    memory.evaluation += 3 * 8 * confusion;
  }
  return memory;
}

void require_node_memory(const Communicator& comm, std::int64_t mine, const char* what, const char* hint) {
  if (!on_host) return;
  const Communicator node = comm.split_by_node();
  const auto all = node.all_reduce(static_cast<double>(mine)), has = static_cast<double>(machine_memory());
  const double over = comm.all_reduce(all - has, MPI_MAX);
  if (over <= 0) return;
  // All ranks report the node that lacks the most memory.
  const double wanted = comm.all_reduce(all - has == over ? all : 0.0, MPI_MAX), there = wanted - over;
  throw usage_error("the ranks of one node need {} of memory in total for {}; the node has {}. Hint: {}", human_bytes(wanted), what, human_bytes(there), hint);
}

ResidentMemory resident_memory() {
  ResidentMemory memory;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    const auto kibibytes = [&](std::string_view name) { return line.starts_with(name) ? std::stoll(line.substr(name.size())) * 1024 : 0; };
    memory.now += kibibytes("VmRSS:");
    memory.peak += kibibytes("VmHWM:");
  }
  return memory;
}

#define TRIREME_INSTANTIATE(T) template RunMemory run_memory(const Deck&, const GridShape&, const Network<T>&);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
