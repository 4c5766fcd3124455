#include "train/snapshot.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <type_traits>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/sha256.hpp"
#include "io/retry.hpp"
#include "layers/part.hpp"
#include "optim/sharded_state.hpp"

namespace trireme {

namespace {

// What is wrong with a checkpoint, with its name; empty when it is whole.
std::string damage_of(const std::filesystem::path& file) {
  try {
    const auto arrays = CheckpointReader(file).verify();
    return arrays.empty() ? "" : fmt::format("checkpoint '{}' is damaged in {}", file.string(), fmt::join(arrays, ", "));
  } catch (const IoError& error) {
    if (error.may_pass()) throw;  // an older checkpoint is no cure for a file system that does not answer
    return error.what();
  } catch (const Error& error) {
    return error.what();
  }
}

void on_thread(IoThread* h5, const std::function<void()>& action) {
  if (h5 == nullptr) return action();
  h5->run([&] { action(); });
}

const std::string wire_error = "optimizer/wire_error/";

/// Where the arrays of the whole model lie in one host array, in the deck's order.
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

/// The whole of what the ranks of a model hold in parts: each gives its own, of replicas the first rank's count, and bits are joined, so that every
/// number arrives as it was. `parts`: Parameter or NetworkBuffer, with `from` parallel to them.
template <class T, class Part>
std::vector<T> whole_of(const ProcessGrid& grid, const WholePlaces& places, const std::vector<Part>& parts, const T* from) {
  std::vector<T> whole(static_cast<std::size_t>(places.size), T{});
  for (const Part& part : parts)
    if (grid.place().tensor == 0 || !(part.whole() == part.shape))
      put_part(part.shape, part.slice, from + part.offset, whole.data() + places.offsets.at(part.name));
  constexpr std::int64_t piece = 1 << 27;
  for (std::int64_t first = 0; first < places.size; first += piece)
    grid.model().all_reduce(std::as_writable_bytes(std::span(whole).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(std::min(piece, places.size - first)))), MPI_BOR);
  return whole;
}

/// A checkpoint as rank 0 reads it, array by array, on the thread that calls HDF5; opened anew where a read met an error that may pass.
class SharedReader {
 public:
  SharedReader(std::filesystem::path file, const Communicator& comm, IoThread* h5) : file_(std::move(file)), comm_(comm), h5_(h5) {}
  SharedReader(const SharedReader&) = delete;
  SharedReader& operator=(const SharedReader&) = delete;
  ~SharedReader() {
    if (reader_) on_thread(h5_, [&] { reader_.reset(); });
  }
  /// Runs `action` on rank 0; its error is everybody's. Collective.
  void read(const std::function<void(const CheckpointReader&)>& action) {
    comm_.together([&] {
      if (comm_.rank() != 0) return;
      on_thread(h5_, [&] {
        with_retries(usual_retries, [&] {
          try {
            if (!reader_) reader_.emplace(file_);
            action(*reader_);
          } catch (const IoError&) {
            reader_.reset();
            throw;
          }
        });
      });
    });
  }

 private:
  std::filesystem::path file_;
  const Communicator& comm_;
  IoThread* h5_;
  std::optional<CheckpointReader> reader_;
};

void require_array(const CheckpointReader& reader, const std::filesystem::path& file, const std::string& name, const Shape& shape) {
  const auto found = std::ranges::find(reader.arrays(), name, &CheckpointReader::ArrayInfo::name);
  if (found == reader.arrays().end())
    throw checkpoint_error("checkpoint '{}' has no array '{}', which the deck wants. Hint: the run directory holds the run of another deck; set run.name, or run.output to another folder", file.string(), name);
  if (!(found->shape == shape))
    throw checkpoint_error("checkpoint '{}': array '{}' has shape {}; the deck's network wants {}. Hint: the run directory holds the run of another deck; set run.name, or run.output to another folder", file.string(), name,
                           found->shape.tuple(), shape.tuple());
}

Progress progress_of(const CheckpointContent& content, const std::filesystem::path& file) {
  const auto integer = [&](const char* key) {
    const auto found = content.integers.find(key);
    if (found == content.integers.end()) throw checkpoint_error("checkpoint '{}': /progress lacks '{}'", file.string(), key);
    return found->second;
  };
  return {integer("step"), integer("epoch"), integer("batch"), integer("epoch_samples"), integer("epoch_steps"),
          content.reals.count("epoch_loss") ? content.reals.at("epoch_loss") : 0, content.reals.count("lr_scale") ? content.reals.at("lr_scale") : 1};
}

/// One array at a time is whole in memory, on every rank; of a sharded state each rank keeps what it owns of it.
template <class T>
Progress load(const std::filesystem::path& file, const Communicator& comm, const Network<T>& network, const std::string& prefix, const Optimizer<T>* optimizer,
              const WeightAverage<T>* average, GradientReducer<T>* reducer, IoThread* h5) {
  const std::vector<WholeArray> parameters = network.whole_parameters(), buffers = network.whole_buffers();
  std::map<std::string, const Parameter*> parts;
  for (const Parameter& part : network.parameters()) parts.emplace(part.name, &part);
  std::vector<std::string> prefixes{prefix};
  if (average != nullptr) prefixes.push_back("ema/");
  if (optimizer != nullptr)
    for (const auto& state : optimizer->states()) prefixes.push_back("optimizer/" + state.name + "/");

  // Whether all fits is known before anything is changed.
  SharedReader shared(file, comm, h5);
  Progress progress;
  int owes = 0;  // whether the run that saved had errors of rounding
  shared.read([&](const CheckpointReader& reader) {
    for (const std::string& before : prefixes)
      for (const WholeArray& array : parameters) require_array(reader, file, before + array.name, array.shape);
    for (const WholeArray& array : buffers) require_array(reader, file, "model/" + array.name, array.shape);
    owes = reducer != nullptr && !parameters.empty() && reader.has(wire_error + parameters.front().name) ? 1 : 0;
    if (owes != 0)
      for (const WholeArray& array : parameters) require_array(reader, file, wire_error + array.name, array.shape);
    progress = progress_of(reader.content(), file);
  });
  std::array<std::int64_t, 5> integers{progress.step, progress.epoch, progress.batch, progress.epoch_samples, progress.epoch_steps};
  comm.broadcast(std::span<std::int64_t>(integers));
  std::array<double, 2> reals{progress.epoch_loss, progress.lr_scale};
  comm.broadcast(std::span<double>(reals));
  comm.broadcast(std::span(&owes, 1));

  std::vector<T> whole, piece;
  const auto read = [&](const std::string& name, const Shape& shape) {
    whole.resize(static_cast<std::size_t>(shape.size()));
    shared.read([&](const CheckpointReader& reader) { reader.read(name, whole.data(), shape.size()); });
    comm.broadcast(std::span(whole));
  };
  /// Calls take(part, its elements) for what this rank has of each parameter.
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
    if (is_state)
      each_part(prefixes[a], [&](const Parameter& part, const T* from) { take_owned(optimizer->shards(), part.offset, part.shape.size(), from, host.data()); });
    else
      each_part(prefixes[a], into(host));
    Kokkos::deep_copy(to, host);
  }
  if (owes != 0) {
    std::vector<T> mine(static_cast<std::size_t>(network.arena_size()), T{});
    each_part(wire_error, into(mine));
    reducer->take_error(Execution(), mine);
  }
  const auto local = Kokkos::create_mirror_view(network.buffer_arena());
  for (const WholeArray& array : buffers) {
    read("model/" + array.name, array.shape);
    for (const NetworkBuffer& part : network.buffers())
      if (part.name == array.name) take_part(part.shape, part.slice, whole.data(), local.data() + part.offset);
  }
  Kokkos::deep_copy(network.buffer_arena(), local);
  return {integers[0], integers[1], integers[2], integers[3], integers[4], reals[0], reals[1]};
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
    for (const WholeArray& array : list) taken.arrays.push_back({prefix + array.name, array.shape, std::is_same_v<T, double>, whole.data() + places.offsets.at(array.name)});
  };
  const auto add_parameters = [&](const std::string& prefix, const T* from) { add(prefix, network.whole_parameters(), network.parameters(), from); };
  add_parameters("model/", to_host(network.value_arena()));
  if (average != nullptr) add_parameters("ema/", to_host(average->values()));
  // Sharded states stay divided: each rank gets whole rows of about its share, and writes these.
  const bool divided = !optimizer.shards().whole() && grid.model().size() == 1;
  const std::vector<std::int64_t> cuts = divided ? row_cuts(network, grid.reduction().size()) : std::vector<std::int64_t>();
  for (const auto& state : optimizer.states()) {
    const std::string prefix = "optimizer/" + state.name + "/";
    if (!divided) {
      add_parameters(prefix, keep(whole_state(grid.reduction(), optimizer, state.name)));
      continue;
    }
    const T* const from = keep(state_between(grid.reduction(), optimizer, state.name, cuts));
    const std::int64_t begin = cuts[static_cast<std::size_t>(grid.reduction().rank())], end = cuts[static_cast<std::size_t>(grid.reduction().rank()) + 1];
    for (const Parameter& parameter : network.parameters()) {
      const std::int64_t row = parameter.shape.rank() == 0 ? 1 : parameter.shape.size() / std::max<std::int64_t>(1, parameter.shape[0]);
      const std::int64_t first = std::clamp(begin, parameter.offset, parameter.offset + parameter.shape.size()),
                         last = std::clamp(end, first, parameter.offset + parameter.shape.size());
      taken.arrays.push_back({prefix + parameter.name, parameter.shape, std::is_same_v<T, double>, first < last ? from + first - begin : nullptr,
                              (first - parameter.offset) / row, (last - first) / row});
    }
  }
  if (auto error = reducer.whole_error(exec); !error.empty()) add_parameters(wire_error, taken.wholes.emplace_back(std::move(error)).data());
  add("model/", network.whole_buffers(), network.buffers(), to_host(network.buffer_arena()));
  taken.content.deck = deck.resolved();
  taken.content.integers = {{"step", progress.step},
                            {"epoch", progress.epoch},
                            {"batch", progress.batch},
                            {"epoch_samples", progress.epoch_samples},
                            {"epoch_steps", progress.epoch_steps},
                            {"seed", deck.integer("run.seed")}};
  taken.content.reals = {{"epoch_loss", progress.epoch_loss}};
  // Only where it says something: files of runs that never rolled back stay as they were.
  if (progress.lr_scale != 1) taken.content.reals["lr_scale"] = progress.lr_scale;
  return taken;
}

template <class T>
Progress load_snapshot(const std::filesystem::path& file, const Communicator& comm, Network<T>& network, Optimizer<T>* optimizer,
                       WeightAverage<T>* average, GradientReducer<T>* reducer, IoThread* h5) {
  return load<T>(file, comm, network, "model/", optimizer, average, reducer, h5);
}

template <class T>
Progress load_for_inference(const std::filesystem::path& file, const Deck& deck, const Communicator& comm, Network<T>& network) {
  return load<T>(file, comm, network, deck.real("train.ema") > 0 ? "ema/" : "model/", nullptr, nullptr, nullptr, nullptr);
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
      on_thread(h5, [&] { damage = with_retries(usual_retries, [&] { return damage_of(file); }); });
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

#define TRIREME_INSTANTIATE(T)                                                                                                           \
  template Snapshot<T> take_snapshot(const Deck&, const ProcessGrid&, const Network<T>&, const Optimizer<T>&, const WeightAverage<T>*, GradientReducer<T>&, \
                                     const Execution&, const Progress&);                                                                 \
  template Progress load_snapshot(const std::filesystem::path&, const Communicator&, Network<T>&, Optimizer<T>*, WeightAverage<T>*, GradientReducer<T>*, IoThread*);     \
  template Progress load_for_inference(const std::filesystem::path&, const Deck&, const Communicator&, Network<T>&);                     \
  template std::map<std::string, std::vector<T>> whole_arrays(const ProcessGrid&, const Network<T>&, Span<const T>);                      \
  template std::string parameters_sha256(const Network<T>&, const ProcessGrid*);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
