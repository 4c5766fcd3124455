#include "train/snapshot.hpp"

#include <algorithm>
#include <array>
#include <type_traits>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/sha256.hpp"
#include "optim/sharded_state.hpp"

namespace trireme {

namespace {

// What is wrong with a checkpoint, with its name; empty when it is whole.
std::string damage_of(const std::filesystem::path& file) {
  try {
    const auto arrays = CheckpointReader(file).verify();
    return arrays.empty() ? "" : fmt::format("checkpoint '{}' is damaged in {}", file.string(), fmt::join(arrays, ", "));
  } catch (const Error& error) {
    return error.what();
  }
}

/// Arenas by the path of their arrays in the file, as "model/".
template <class T>
using Arenas = std::vector<std::pair<std::string, Buffer<T>>>;

template <class T>
Arenas<T> arenas_of(const Network<T>& network, const WeightAverage<T>* average) {
  Arenas<T> arenas{{"model/", network.value_arena()}};
  if (average != nullptr) arenas.emplace_back("ema/", average->values());
  return arenas;
}

template <class T>
Progress load(const std::filesystem::path& file, const Communicator& comm, const Network<T>& network, const Arenas<T>& arenas,
              const Optimizer<T>* optimizer = nullptr) {
  Progress progress;
  std::vector<HostMirror<T>> hosts;
  for (const auto& [prefix, arena] : arenas) hosts.push_back(Kokkos::create_mirror_view(arena));
  std::vector<std::string> prefixes;
  for (const auto& [prefix, arena] : arenas) prefixes.push_back(prefix);
  if (optimizer != nullptr)
    for (const auto& state : optimizer->states()) {
      prefixes.push_back("optimizer/" + state.name + "/");
      hosts.push_back(HostArena<T>("trireme::snapshot::state", static_cast<std::size_t>(network.arena_size())));
    }
  const auto running = Kokkos::create_mirror_view(network.buffer_arena());
  comm.together([&] {
    if (comm.rank() != 0) return;
    const CheckpointReader reader(file);
    const auto read = [&](const std::string& name, const Shape& shape, T* to) {
      const auto found = std::ranges::find(reader.arrays(), name, &CheckpointReader::ArrayInfo::name);
      if (found == reader.arrays().end())
        throw checkpoint_error("checkpoint '{}' has no array '{}', which the deck wants. Hint: it belongs to another deck", file.string(), name);
      if (!(found->shape == shape))
        throw checkpoint_error("checkpoint '{}': array '{}' has shape {}; the deck's network wants {}. Hint: it belongs to another deck", file.string(), name,
                               found->shape.tuple(), shape.tuple());
      reader.read(name, to, shape.size());
    };
    for (std::size_t a = 0; a < hosts.size(); ++a)
      for (const Parameter& parameter : network.parameters()) read(prefixes[a] + parameter.name, parameter.shape, hosts[a].data() + parameter.offset);
    for (const NetworkBuffer& buffer : network.buffers()) read("model/" + buffer.name, buffer.shape, running.data() + buffer.offset);
    const auto& content = reader.content();
    const auto integer = [&](const char* key) {
      const auto found = content.integers.find(key);
      if (found == content.integers.end()) throw checkpoint_error("checkpoint '{}': /progress lacks '{}'", file.string(), key);
      return found->second;
    };
    progress = {integer("step"), integer("epoch"), integer("batch"), integer("epoch_samples"), integer("epoch_steps"),
                content.reals.count("epoch_loss") ? content.reals.at("epoch_loss") : 0};
  });
  for (std::size_t a = 0; a < hosts.size(); ++a) {
    comm.broadcast(std::span(hosts[a].data(), hosts[a].size()));
    if (a < arenas.size())
      Kokkos::deep_copy(arenas[a].second, hosts[a]);
    else
      take_state<T>(*optimizer, optimizer->states()[a - arenas.size()].name, hosts[a]);
  }
  comm.broadcast(std::span(running.data(), running.size()));
  Kokkos::deep_copy(network.buffer_arena(), running);
  std::array<std::int64_t, 5> integers{progress.step, progress.epoch, progress.batch, progress.epoch_samples, progress.epoch_steps};
  comm.broadcast(std::span<std::int64_t>(integers));
  comm.broadcast(std::span(&progress.epoch_loss, 1));
  return {integers[0], integers[1], integers[2], integers[3], integers[4], progress.epoch_loss};
}

}  // namespace

template <class T>
std::int64_t save_snapshot(const std::filesystem::path& file, const Deck& deck, const Communicator& comm, IoThread& io, const Network<T>& network,
                           const Optimizer<T>& optimizer, const WeightAverage<T>* average, const Progress& progress) {
  // On the host the arenas are written from where they lie; a device's are brought over first.
  std::vector<std::pair<std::string, HostMirror<T>>> arenas;
  for (const auto& [prefix, arena] : arenas_of<T>(network, average))
    arenas.emplace_back(prefix, Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), arena));
  for (const auto& state : optimizer.states()) arenas.emplace_back("optimizer/" + state.name + "/", whole_state(comm, optimizer, state.name));
  std::vector<CheckpointArray> arrays;
  for (const auto& [prefix, arena] : arenas)
    for (const Parameter& parameter : network.parameters())
      arrays.push_back({prefix + parameter.name, parameter.shape, std::is_same_v<T, double>, arena.data() + parameter.offset});
  const auto running = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), network.buffer_arena());
  for (const NetworkBuffer& buffer : network.buffers())
    arrays.push_back({"model/" + buffer.name, buffer.shape, std::is_same_v<T, double>, running.data() + buffer.offset});
  CheckpointContent content;
  content.deck = deck.resolved();
  content.integers = {{"step", progress.step},
                      {"epoch", progress.epoch},
                      {"batch", progress.batch},
                      {"epoch_samples", progress.epoch_samples},
                      {"epoch_steps", progress.epoch_steps},
                      {"seed", deck.integer("run.seed")}};
  content.reals = {{"epoch_loss", progress.epoch_loss}};
  return io.run([&] { return write_checkpoint(file, arrays, content, comm.handle()); });
}

template <class T>
Progress load_snapshot(const std::filesystem::path& file, const Communicator& comm, Network<T>& network, Optimizer<T>* optimizer,
                       WeightAverage<T>* average) {
  return load<T>(file, comm, network, arenas_of<T>(network, average), optimizer);
}

template <class T>
Progress load_for_inference(const std::filesystem::path& file, const Deck& deck, const Communicator& comm, Network<T>& network) {
  return load<T>(file, comm, network, {{deck.real("train.ema") > 0 ? "ema/" : "model/", network.value_arena()}});
}

std::optional<std::filesystem::path> find_checkpoint(const Communicator& comm, const std::filesystem::path& where) {
  std::string found;
  comm.together([&] {
    if (comm.rank() != 0) return;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(where, ignored)) {
      found = where.string();
      return;
    }
    std::vector<std::string> damages;
    for (const auto& file : list_checkpoints(where)) {
      const std::string damage = damage_of(file);
      if (damage.empty()) {
        for (const auto& passed : damages) log::warn("passed over: {}", passed);
        found = file.string();
        return;
      }
      damages.push_back(damage);
    }
    if (!damages.empty())
      throw checkpoint_error("'{}' holds no whole checkpoint:\n  {}\nHint: bring one back from a copy; or, to start anew, move them away", where.string(),
                             fmt::join(damages, "\n  "));
  });
  found = comm.broadcast(found);
  if (found.empty()) return std::nullopt;
  return std::filesystem::path(found);
}

Deck checkpoint_deck(const Communicator& comm, const std::filesystem::path& file) {
  std::string text;
  comm.together([&] {
    if (comm.rank() == 0) text = CheckpointReader(file).content().deck;
  });
  return Deck(comm.broadcast(text), "deck inside " + file.string());
}

template <class T>
std::string parameters_sha256(const Network<T>& network) {
  const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), network.value_arena());
  Sha256 sha;
  for (const Parameter& parameter : network.parameters())
    sha.update(std::as_bytes(std::span(host.data() + parameter.offset, static_cast<std::size_t>(parameter.shape.size()))));
  const auto running = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), network.buffer_arena());
  sha.update(std::as_bytes(std::span(running.data(), running.size())));
  return sha.hex();
}

#define TRIREME_INSTANTIATE(T)                                                                                                           \
  template std::int64_t save_snapshot(const std::filesystem::path&, const Deck&, const Communicator&, IoThread&, const Network<T>&,       \
                                      const Optimizer<T>&, const WeightAverage<T>*, const Progress&);                                    \
  template Progress load_snapshot(const std::filesystem::path&, const Communicator&, Network<T>&, Optimizer<T>*, WeightAverage<T>*);     \
  template Progress load_for_inference(const std::filesystem::path&, const Deck&, const Communicator&, Network<T>&);                     \
  template std::string parameters_sha256(const Network<T>&);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
