// Loading: finds the checkpoint to resume from, checks that it fits, and gives each rank its parts of the arrays.
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "io/retry.hpp"
#include "layers/part.hpp"
#include "optim/sharded_state.hpp"
#include "train/shared_reader.hpp"
#include "train/snapshot.hpp"

namespace trireme {

namespace {

constexpr const char* other_deck =
    "Hint: the run directory belongs to another deck; set run.name, or set run.output to another folder. To begin a new run with the arrays that fit, set "
    "model.weights to this file";

void require_array(const CheckpointReader& reader, const std::filesystem::path& file, const std::string& name, const Shape& shape) {
  const auto found = std::ranges::find(reader.arrays(), name, &CheckpointReader::ArrayInfo::name);
  if (found == reader.arrays().end())
    throw checkpoint_error("checkpoint '{}' has no array '{}', which the deck's network needs. {}", file.string(), name, other_deck);
  if (!(found->shape == shape))
    throw checkpoint_error("checkpoint '{}': array '{}' has shape {}; the deck's network needs {}. {}", file.string(), name, found->shape.tuple(),
                           shape.tuple(), other_deck);
}

Progress progress_of(const CheckpointContent& content, const std::filesystem::path& file) {
  const auto integer = [&](const char* key) {
    const auto found = content.integers.find(key);
    if (found == content.integers.end()) throw checkpoint_error("checkpoint '{}': /progress has no '{}'", file.string(), key);
    return found->second;
  };
  Progress progress{integer("step"),
                    integer("epoch"),
                    integer("batch"),
                    integer("epoch_samples"),
                    integer("epoch_steps"),
                    content.reals.count("epoch_loss") ? content.reals.at("epoch_loss") : 0,
                    content.reals.count("lr_scale") ? content.reals.at("lr_scale") : 1,
                    content.integers.count("optimizer_start") ? content.integers.at("optimizer_start") : 0};
  progress.quality = QualityState::from(content.integers, content.reals);
  return progress;
}

/// One array at a time is whole in memory, on every rank; of partitioned state each rank keeps the elements that it owns.
template <class T>
Progress load(const std::filesystem::path& file, const Communicator& comm, const Network<T>& network, const std::string& prefix, const Optimizer<T>* optimizer,
              const WeightAverage<T>* average, GradientReducer<T>* reducer, IoThread* h5, const std::set<std::string>& absent) {
  const std::vector<WholeArray> parameters = network.whole_parameters(), buffers = network.whole_buffers();
  std::map<std::string, const Parameter*> parts;
  for (const Parameter& part : network.parameters()) parts.emplace(part.name, &part);
  std::vector<std::string> prefixes{prefix};
  if (average != nullptr) prefixes.push_back("ema/");
  if (optimizer != nullptr)
    for (const auto& state : optimizer->states()) prefixes.push_back("optimizer/" + state.name + "/");

  // All checks come before any change.
  SharedReader shared(file, comm, h5);
  Progress progress;
  int owes = 0;  // the saved run had accumulated rounding errors
  shared.read([&](const CheckpointReader& reader) {
    for (const std::string& before : prefixes)
      for (const WholeArray& array : parameters)
        if (!absent.contains(before)) require_array(reader, file, before + array.name, array.shape);
    for (const WholeArray& array : buffers) require_array(reader, file, "model/" + array.name, array.shape);
    owes = reducer != nullptr && !parameters.empty() && reader.has(wire_error_prefix + parameters.front().name) ? 1 : 0;
    if (owes != 0)
      for (const WholeArray& array : parameters) require_array(reader, file, wire_error_prefix + array.name, array.shape);
    progress = progress_of(reader.content(), file);
  });
  std::array<std::int64_t, 6> integers{progress.step, progress.epoch, progress.batch, progress.epoch_samples, progress.epoch_steps, progress.optimizer_start};
  comm.broadcast(std::span<std::int64_t>(integers));
  std::array<double, 2> reals{progress.epoch_loss, progress.lr_scale};
  comm.broadcast(std::span<double>(reals));
  comm.broadcast(std::span(&owes, 1));
  for (std::int64_t* value : progress.quality.integers()) comm.broadcast(std::span<std::int64_t>(value, 1));
  for (double* value : progress.quality.reals()) comm.broadcast(std::span<double>(value, 1));

  std::vector<T> whole, piece;
  const auto read = [&](const std::string& name, const Shape& shape) {
    whole.resize(static_cast<std::size_t>(shape.size()));
    shared.read([&](const CheckpointReader& reader) { reader.read(name, whole.data(), shape.size()); });
    comm.broadcast(std::span(whole));
  };
  /// Calls take(part, its elements) for this rank's part of each parameter.
  const auto each_part = [&](const std::string& before, const auto& take) {
    for (const WholeArray& array : parameters) {
      read(before + array.name, array.shape);
      const auto found = parts.find(array.name);
      if (found == parts.end()) continue;
      const Parameter& part = *found->second;
      if (!part.slice.is_part()) {
        take(part, whole.data());
        continue;
      }
      piece.resize(static_cast<std::size_t>(part.shape.size()));
      take_part(part.shape, part.slice, whole.data(), piece.data());
      take(part, piece.data());
    }
  };
  const auto into = [](auto& arena) {
    return [&arena](const Parameter& part, const T* from) { std::copy_n(from, part.shape.size(), arena.data() + part.offset); };
  };
  for (std::size_t a = 0, state = 0; a < prefixes.size(); ++a) {
    const bool is_state = a > 0 && prefixes[a] != "ema/";
    const Buffer<T>& to = a == 0 ? network.value_arena() : is_state ? optimizer->states()[state++].values : average->values();
    const auto host = Kokkos::create_mirror_view(to);
    std::fill_n(host.data(), host.size(), T{});
    if (absent.contains(prefixes[a])) {
      if (is_state)
        Kokkos::deep_copy(to, host);
      else
        Kokkos::deep_copy(to, network.value_arena());  // which is already loaded
      continue;
    }
    if (is_state)
      each_part(prefixes[a], [&](const Parameter& part, const T* from) { take_owned(optimizer->shards(), part.offset, part.shape.size(), from, host.data()); });
    else
      each_part(prefixes[a], into(host));
    Kokkos::deep_copy(to, host);
  }
  if (owes != 0) {
    std::vector<T> mine(static_cast<std::size_t>(network.arena_size()), T{});
    each_part(wire_error_prefix, into(mine));
    reducer->take_error(Execution(), mine);
  }
  const auto local = Kokkos::create_mirror_view(network.buffer_arena());
  for (const WholeArray& array : buffers) {
    read("model/" + array.name, array.shape);
    for (const NetworkBuffer& part : network.buffers())
      if (part.name == array.name) take_part(part.shape, part.slice, whole.data(), local.data() + part.offset);
  }
  Kokkos::deep_copy(network.buffer_arena(), local);
  return {integers[0], integers[1], integers[2], integers[3], integers[4], reals[0], reals[1], integers[5], progress.quality};
}

}  // namespace

template <class T>
Progress load_snapshot(const std::filesystem::path& file, const Communicator& comm, Network<T>& network, Optimizer<T>* optimizer, WeightAverage<T>* average,
                       GradientReducer<T>* reducer, IoThread* h5, const std::set<std::string>& absent) {
  return load<T>(file, comm, network, "model/", optimizer, average, reducer, h5, absent);
}

template <class T>
Progress load_for_inference(const std::filesystem::path& file, const Deck& deck, const Communicator& comm, Network<T>& network) {
  return load<T>(file, comm, network, deck.real("train.ema") > 0 ? "ema/" : "model/", nullptr, nullptr, nullptr, nullptr, {});
}

std::optional<std::filesystem::path> find_checkpoint(const Communicator& comm, const std::filesystem::path& where, IoThread* h5, std::int64_t before) {
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
      if (checkpoint_step(file) >= before) continue;
      std::string damage;
      on_thread(h5, [&] {
        damage = with_retries(
            usual_retries, [&] { return damage_of(file); }, true);
      });
      if (damage.empty()) {
        for (const auto& passed : damages) log::warn("skipped: {}", passed);
        found = file.string();
        return;
      }
      damages.push_back(damage);
    }
    if (!damages.empty())
      throw checkpoint_error("'{}' holds no intact checkpoint:\n  {}\nHint: restore one from a copy; or, to start over, move these files away", where.string(),
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
  return Deck::stored(comm.broadcast(text), "deck inside " + file.string());
}

#define TRIREME_INSTANTIATE(T)                                                                                                                           \
  template Progress load_snapshot(const std::filesystem::path&, const Communicator&, Network<T>&, Optimizer<T>*, WeightAverage<T>*, GradientReducer<T>*, \
                                  IoThread*, const std::set<std::string>&);                                                                              \
  template Progress load_for_inference(const std::filesystem::path&, const Deck&, const Communicator&, Network<T>&);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
