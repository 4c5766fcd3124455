// Between arenas and checkpoint files: which arrays a run saves, and how they come back under any number of ranks.
#pragma once

#include <filesystem>
#include <limits>
#include <optional>
#include <map>
#include <string>
#include <vector>

#include "comm/process_grid.hpp"
#include "io/checkpoint_file.hpp"
#include "io/io_thread.hpp"
#include "network/network.hpp"
#include "optim/gradient_reducer.hpp"
#include "optim/optimizer.hpp"
#include "optim/sharded_state.hpp"
#include "optim/weight_average.hpp"

namespace trireme {

/// Where a run stands, beyond its arrays.
struct Progress {
  std::int64_t step = 0;           // updates done
  std::int64_t epoch = 0;          // of the next batch
  std::int64_t batch = 0;          // next batch within the epoch
  std::int64_t epoch_samples = 0;  // of this epoch so far, for the epoch's mean loss
  std::int64_t epoch_steps = 0;    // steps of a whole epoch: what gives `epoch` and `batch` their meaning
  double epoch_loss = 0;           // sum of losses of these samples
  double lr_scale = 1;             // what rollbacks left of the learning rate
};

/// What a checkpoint of a run holds: /model/PARAMETER, /optimizer/STATE/PARAMETER and, where there is an average of the parameters, /ema/PARAMETER; with
/// parallel.wire = bf16 what rounding still owes, /optimizer/wire_error/PARAMETER. It says nothing of the grid. On the host the arrays lie in the run's own
/// memory where they lie there whole: what is not written before the next step must be copied.
template <class T>
struct Snapshot {
  std::vector<CheckpointArray> arrays;
  CheckpointContent content;
  std::vector<HostArena<T>> arenas;    // memory of the arrays
  std::vector<std::vector<T>> wholes;  // where ranks hold parts of the model
};

/// Collective.
template <class T>
Snapshot<T> take_snapshot(const Deck& deck, const ProcessGrid& grid, const Network<T>& network, const Optimizer<T>& optimizer, const WeightAverage<T>* average,
                          GradientReducer<T>& reducer, const Execution& exec, const Progress& progress);

/// Reads a checkpoint (on rank 0, then broadcast): parameters and buffers, and what else is given to be filled. Checkpoint errors name what
/// does not fit. `h5`: the thread that calls HDF5, where one reads data meanwhile. Collective.
template <class T>
Progress load_snapshot(const std::filesystem::path& file, const Communicator& comm, Network<T>& network, Optimizer<T>* optimizer = nullptr,
                       WeightAverage<T>* average = nullptr, GradientReducer<T>* reducer = nullptr, IoThread* h5 = nullptr);

/// Reads the parameters that a network is used with: their average where the deck has train.ema. Collective.
template <class T>
Progress load_for_inference(const std::filesystem::path& file, const Deck& deck, const Communicator& comm, Network<T>& network);

/// A checkpoint file, or the newest whole one of a run directory. Damaged ones are warned of and passed over; when all are damaged
/// that is a checkpoint error, because to start anew would overwrite what may be repaired. Nothing when a directory has none. Of a directory's, only
/// those of steps below `before` count. Collective.
std::optional<std::filesystem::path> find_checkpoint(const Communicator& comm, const std::filesystem::path& where, IoThread* h5 = nullptr,
                                                     std::int64_t before = std::numeric_limits<std::int64_t>::max());

/// The deck inside a checkpoint. Collective.
Deck checkpoint_deck(const Communicator& comm, const std::filesystem::path& file);

/// SHA-256 of all parameters' bytes in their order, without the arena's gaps, then of all buffers', of the whole model. Collective over grid.model()
/// where there is a grid; else the network is whole and it is not.
template <class T>
std::string parameters_sha256(const Network<T>& network, const ProcessGrid* grid = nullptr);

/// What an arena parallel to the parameters holds, by parameter, whole, on every rank. Collective over grid.model().
template <class T>
std::map<std::string, std::vector<T>> whole_arrays(const ProcessGrid& grid, const Network<T>& network, Span<const T> arena);

}  // namespace trireme
