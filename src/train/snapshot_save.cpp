// Saving: the arrays of a run in a checkpoint, assembled from the ranks that hold parts of them, and the digest of the parameters.
#include <algorithm>
#include <map>
#include <type_traits>
#include <vector>

#include "base/sha256.hpp"
#include "layers/part.hpp"
#include "optim/sharded_state.hpp"
#include "train/snapshot.hpp"

namespace trireme {

namespace {

/// The offsets of the arrays of the whole model in one host array, in the order of the deck.
struct WholePlaces {
  explicit WholePlaces(const std::vector<WholeArray>& list) : arrays(list) {
    for (const WholeArray& array : arrays) {
      offsets.emplace(array.name, size);
      size += array.shape.size();
    }
  }
  std::vector<WholeArray> arrays;
  std::map<std::string, std::int64_t> offsets;
  std::int64_t size = 0;
};

/// Assembles whole arrays from the parts on the ranks of a model. Each rank contributes its own part; of replicas only the first rank contributes. Parts are
/// combined by a bitwise OR, so every number keeps its bits. `parts`: Parameter or NetworkBuffer; `from`: parallel to them.
template <class T, class Part>
std::vector<T> whole_of(const ProcessGrid& grid, const WholePlaces& places, const std::vector<Part>& parts, const T* from) {
  std::vector<T> whole(static_cast<std::size_t>(places.size), T{});
  for (const Part& part : parts)
    if (grid.place().tensor == 0 || !(part.whole() == part.shape))
      put_part(part.shape, part.slice, from + part.offset, whole.data() + places.offsets.at(part.name));
  constexpr std::int64_t piece = 1 << 27;
  for (std::int64_t first = 0; first < places.size; first += piece)
    grid.model().all_reduce(
        std::as_writable_bytes(std::span(whole).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(std::min(piece, places.size - first)))),
        MPI_BOR);
  return whole;
}

std::int64_t elements_of_row(const Shape& shape) { return shape.rank() == 0 || shape[0] == 0 ? 1 : shape.size() / shape[0]; }

/// The rows of each parameter of partitioned state that this rank writes: those between its cuts.
template <class T>
void add_divided(Snapshot<T>& taken, const std::string& prefix, const Network<T>& network, const std::vector<std::int64_t>& cuts, int rank) {
  const std::int64_t begin = cuts[static_cast<std::size_t>(rank)], end = cuts[static_cast<std::size_t>(rank) + 1];
  for (const Parameter& parameter : network.parameters()) {
    const std::int64_t last = parameter.offset + parameter.shape.size(), row = elements_of_row(parameter.shape);
    const std::int64_t from = std::clamp(begin, parameter.offset, last), to = std::clamp(end, from, last);
    taken.arrays.push_back({prefix + parameter.name, parameter.shape, std::is_same_v<T, double>, nullptr, (from - parameter.offset) / row, (to - from) / row});
  }
}

/// `first`: the array of the first parameter of the first state; the others follow.
template <class T>
void fill_divided(const ProcessGrid& grid, const Network<T>& network, const Optimizer<T>& optimizer, std::size_t first, const auto& place) {
  const Communicator& comm = grid.reduction();
  const std::vector<std::int64_t> cuts = row_cuts(network, comm.size());
  const std::int64_t begin = cuts[static_cast<std::size_t>(comm.rank())];
  const std::vector<Parameter>& parameters = network.parameters();
  for (const auto& state : optimizer.states()) {
    state_between<T>(comm, optimizer, state.name, cuts, [&](std::int64_t at, std::int64_t count, const T* from) {
      for (std::size_t p = 0; p < parameters.size(); ++p) {
        const std::int64_t start = std::max(at, parameters[p].offset), end = std::min(at + count, parameters[p].offset + parameters[p].shape.size());
        if (start >= end) continue;
        auto* const rows = reinterpret_cast<T*>(place(first + p));
        std::copy_n(from + start - at, end - start, rows + start - std::max(begin, parameters[p].offset));
      }
    });
    first += parameters.size();
  }
}

}  // namespace

template <class T>
Snapshot<T> take_snapshot(const Deck& deck, const ProcessGrid& grid, const Network<T>& network, const Optimizer<T>& optimizer, const WeightAverage<T>* average,
                          GradientReducer<T>& reducer, const Execution& exec, const Progress& progress) {
  Snapshot<T> taken;
  const auto keep = [&](HostArena<T> arena) { return taken.arenas.emplace_back(std::move(arena)).data(); };
  const auto to_host = [&](const Buffer<T>& arena) { return keep(Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), arena)); };
  const auto add = [&](const std::string& prefix, const std::vector<WholeArray>& list, const auto& parts, const T* from) {
    if (grid.model().size() == 1) {
      for (const auto& part : parts) taken.arrays.push_back({prefix + part.name, part.shape, std::is_same_v<T, double>, from + part.offset});
      return;
    }
    const WholePlaces places(list);
    const auto& whole = taken.wholes.emplace_back(whole_of(grid, places, parts, from));
    for (const WholeArray& array : list)
      taken.arrays.push_back({prefix + array.name, array.shape, std::is_same_v<T, double>, whole.data() + places.offsets.at(array.name)});
  };
  const auto add_parameters = [&](const std::string& prefix, const T* from) { add(prefix, network.whole_parameters(), network.parameters(), from); };
  add_parameters("model/", to_host(network.value_arena()));
  if (average != nullptr) add_parameters("ema/", to_host(average->values()));
  // Partitioned state stays divided: each rank receives its share of whole rows in the staging buffer, from which they are written.
  const bool divided = !optimizer.shards().whole() && grid.model().size() == 1;
  for (const auto& state : optimizer.states()) {
    const std::string prefix = "optimizer/" + state.name + "/";
    if (divided)
      add_divided(taken, prefix, network, row_cuts(network, grid.reduction().size()), grid.reduction().rank());
    else
      add_parameters(prefix, keep(whole_state(grid.reduction(), optimizer, state.name)));
  }
  if (divided)
    taken.fill = [&grid, &network, &optimizer, first = taken.arrays.size() - optimizer.states().size() * network.parameters().size()](const auto& place) {
      fill_divided(grid, network, optimizer, first, place);
    };
  if (auto error = reducer.whole_error(exec); !error.empty()) add_parameters(wire_error_prefix, taken.wholes.emplace_back(std::move(error)).data());
  add("model/", network.whole_buffers(), network.buffers(), to_host(network.buffer_arena()));
  taken.content.deck = deck.resolved();
  taken.content.integers = {{"step", progress.step},
                            {"epoch", progress.epoch},
                            {"batch", progress.batch},
                            {"epoch_samples", progress.epoch_samples},
                            {"epoch_steps", progress.epoch_steps},
                            {"seed", deck.integer("run.seed")}};
  taken.content.reals = {{"epoch_loss", progress.epoch_loss}};
  // Only if they differ from their defaults, so that files of runs without these changes keep their content.
  if (progress.optimizer_start != 0) taken.content.integers["optimizer_start"] = progress.optimizer_start;
  if (progress.lr_scale != 1) taken.content.reals["lr_scale"] = progress.lr_scale;
  progress.quality.store(taken.content.integers, taken.content.reals);
  return taken;
}

template <class T>
std::string parameters_sha256(const Network<T>& network, const ProcessGrid* grid) {
  const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), network.value_arena());
  const auto running = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), network.buffer_arena());
  Sha256 sha;
  if (grid != nullptr && grid->model().size() > 1) {
    sha.update(std::as_bytes(std::span<const T>(whole_of(*grid, WholePlaces(network.whole_parameters()), network.parameters(), host.data()))));
    sha.update(std::as_bytes(std::span<const T>(whole_of(*grid, WholePlaces(network.whole_buffers()), network.buffers(), running.data()))));
    return sha.hex();
  }
  for (const Parameter& parameter : network.parameters())
    sha.update(std::as_bytes(std::span(host.data() + parameter.offset, static_cast<std::size_t>(parameter.shape.size()))));
  sha.update(std::as_bytes(std::span(running.data(), running.size())));
  return sha.hex();
}

template <class T>
std::map<std::string, std::vector<T>> whole_arrays(const ProcessGrid& grid, const Network<T>& network, Span<const T> arena) {
  const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), arena);
  const WholePlaces places(network.whole_parameters());
  const std::vector<T> whole = whole_of(grid, places, network.parameters(), host.data());
  std::map<std::string, std::vector<T>> arrays;
  for (const WholeArray& array : places.arrays) {
    const auto first = whole.begin() + places.offsets.at(array.name);
    arrays.emplace(array.name, std::vector<T>(first, first + array.shape.size()));
  }
  return arrays;
}

#define TRIREME_INSTANTIATE(T)                                                                                                                              \
  template Snapshot<T> take_snapshot(const Deck&, const ProcessGrid&, const Network<T>&, const Optimizer<T>&, const WeightAverage<T>*, GradientReducer<T>&, \
                                     const Execution&, const Progress&);                                                                                    \
  template std::map<std::string, std::vector<T>> whole_arrays(const ProcessGrid&, const Network<T>&, Span<const T>);                                        \
  template std::string parameters_sha256(const Network<T>&, const ProcessGrid*);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
