#include "train/run_memory.hpp"

#include <algorithm>
#include <fstream>
#include <string>

#include "base/error.hpp"
#include "base/machine_memory.hpp"
#include "base/share.hpp"
#include "base/text.hpp"
#include "optim/gradient_reducer.hpp"
#include "optim/optimizer.hpp"
#include "train/loss_function.hpp"
#include "train/metrics.hpp"
#include "train/output_sums.hpp"

namespace trireme {

namespace {

/// A checkpoint's bytes on this rank: the copy of what it writes, and what is made for it and let go when it is copied.
template <class T>
std::int64_t checkpoint_memory(const Deck& deck, const GridShape& grid, const Network<T>& network, std::int64_t states) {
  const auto size = static_cast<std::int64_t>(sizeof(T));
  const bool averages = deck.real("train.ema") > 0, owes = deck.text("parallel.wire") == "bf16";
  const std::int64_t ranks = grid.ranks(), reducers = grid.data * grid.spatial_ranks(), arrays = 1 + (averages ? 1 : 0) + states + (owes ? 1 : 0);
  std::int64_t whole = 0;
  for (const WholeArray& array : network.whole_parameters()) whole += array.shape.size() * size;
  const bool parts = grid.model_ranks() > grid.spatial_ranks(), shards = deck.boolean("optimizer.shard") && reducers > 1;
  // Where the ranks hold parts of the model each joins the whole of every array.
  const std::int64_t joined = parts ? arrays * whole : (shards ? states * whole / reducers : 0) + (owes ? whole : 0);
  const std::int64_t copied = deck.boolean("checkpoint.async") ? arrays * whole / ranks : 0;
  return joined + copied;
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
  memory.gradients = (network.gradient_elements() + reduce.lane_memory(network.gradient_elements(), network.place().spatial_rank())) * size;
  memory.state = states * (deck.boolean("optimizer.shard") ? (summary.arena_bytes + reducers - 1) / reducers : summary.arena_bytes);
  memory.average = deck.real("train.ema") > 0 ? summary.arena_bytes : 0;
  memory.activations = summary.temporary_bytes;
  memory.workspace = summary.workspace_bytes;
  memory.messages = summary.message_bytes + loss_message_elements(deck, network) * network.largest_batch() * size;
  memory.checkpoint = checkpoint_memory(deck, grid, network, states);

  const bool classes = deck.text("loss.kind") == "cross_entropy", tests = !deck.text("data.test").empty() && deck.integer("train.evaluate_every") > 0;
  const std::int64_t samples = network.largest_batch(), outputs = network.local_output().size();
  const std::int64_t targets = classes ? 0 : samples * outputs * size;
  memory.evaluation = targets;
  if (tests) {
    const std::int64_t gathered = network.output_cuts().empty() || outputs == 0 ? outputs : network.output_shape().size();
    const std::int64_t whole = network.output_shape().size();  // counted on stages, too, that have no outputs
    const std::int64_t confusion = classes && whole <= Metrics::most_confused ? whole * whole : 0;
    const std::int64_t lanes = std::max<std::int64_t>(1, deck.integer("data.lanes") / std::max(1, grid.data));
    memory.evaluation += targets + (network.output_cuts().empty() ? 0 : samples * gathered * size) +
                         (classes ? 8 * confusion : static_cast<std::int64_t>(sizeof(OutputSums)) * gathered * lanes);
    // The counts of classes on the host, beside them what ranks sum and what the record says of them.
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
  // The same words on all ranks: those of the node that lacks most.
  const double wanted = comm.all_reduce(all - has == over ? all : 0.0, MPI_MAX), there = wanted - over;
  throw usage_error("the ranks of a node need {} of memory together for {}; the node has {}. Hint: {}", human_bytes(wanted), what, human_bytes(there), hint);
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
