// Conversion between arenas and checkpoint files: which arrays a run saves, and how it restores them on any number of ranks.
#pragma once

#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "comm/process_grid.hpp"
#include "io/checkpoint_file.hpp"
#include "io/io_thread.hpp"
#include "network/network.hpp"
#include "optim/optimizer.hpp"
#include "optim/sharded_state.hpp"
#include "optim/weight_average.hpp"
#include "reduction/gradient_reducer.hpp"
#include "train/quality_state.hpp"

namespace trireme {

/// Progress of a run, apart from its arrays.
struct Progress {
  std::int64_t step = 0;             // completed updates
  std::int64_t epoch = 0;            // of the next batch
  std::int64_t batch = 0;            // number of the next batch within the epoch
  std::int64_t epoch_samples = 0;    // seen in this epoch so far, for the mean loss of the epoch
  std::int64_t epoch_steps = 0;      // steps of a whole epoch; defines the meaning of `epoch` and `batch`
  double epoch_loss = 0;             // sum of the losses of these samples
  double lr_scale = 1;               // factor of the learning rate after rollbacks
  std::int64_t optimizer_start = 0;  // step at which the optimizer's state began, if not with the run; bias correction counts from it
  QualityState quality{};            // what evaluations decided
};

/// Content of a checkpoint: /model/PARAMETER, /optimizer/STATE/PARAMETER and, with train.ema, /ema/PARAMETER; with parallel.reduce_dtype = bf16 also
/// the accumulated rounding error, /optimizer/wire_error/PARAMETER. The content does not depend on the grid. On the host, arrays that are whole on
/// this rank refer to the memory of the run: copy whatever is not written before the next step.
template <class T>
struct Snapshot {
  std::vector<CheckpointArray> arrays;
  CheckpointContent content;
  std::vector<HostArena<T>> arenas;    // memory of the arrays
  std::vector<std::vector<T>> wholes;  // of arrays that are distributed over ranks
  FillRows fill;                       // of state in a ZeRO partition: gets rows from their owners. Collective; refers to the optimizer
};

/// Prefix of the arrays of rounding errors in a checkpoint.
inline const std::string wire_error_prefix = "optimizer/wire_error/";

/// Collective.
template <class T>
Snapshot<T> take_snapshot(const Deck& deck, const ProcessGrid& grid, const Network<T>& network, const Optimizer<T>& optimizer, const WeightAverage<T>* average,
                          GradientReducer<T>& reducer, const Execution& exec, const Progress& progress);

/// Reads a checkpoint on rank 0 and broadcasts it: parameters and buffers, and all further arguments that are given. Checkpoint errors name the array
/// that does not fit. `h5`: the thread that calls HDF5, if another thread reads data at the same time. `absent`: groups that are not read ("ema/",
/// "optimizer/momentum/"): the optimizer's state is then 0, and the average is the parameters. Collective.
template <class T>
Progress load_snapshot(const std::filesystem::path& file, const Communicator& comm, Network<T>& network, Optimizer<T>* optimizer = nullptr,
                       WeightAverage<T>* average = nullptr, GradientReducer<T>* reducer = nullptr, IoThread* h5 = nullptr,
                       const std::set<std::string>& absent = {});

/// Reads the parameters for inference: their average if the deck has train.ema. Collective.
template <class T>
Progress load_for_inference(const std::filesystem::path& file, const Deck& deck, const Communicator& comm, Network<T>& network);

/// Returns `where` if it is a checkpoint file, or the newest intact checkpoint of a run directory. Damaged ones are skipped with a warning. If one cannot
/// be read but may be intact (damage_of), or if all are damaged, this is a checkpoint error: continuing from an older one, or starting over, would
/// remove or overwrite it. Returns nothing if the directory has no checkpoint. In a directory only checkpoints of steps below `before` count.
/// Collective.
std::optional<std::filesystem::path> find_checkpoint(const Communicator& comm, const std::filesystem::path& where, IoThread* h5 = nullptr,
                                                     std::int64_t before = std::numeric_limits<std::int64_t>::max());

/// The deck inside a checkpoint. Collective.
Deck checkpoint_deck(const Communicator& comm, const std::filesystem::path& file);

/// SHA-256 of the whole model: the bytes of all parameters in order, without the gaps of the arena, then of all buffers. Collective over grid.model()
/// if there is a grid; otherwise the network is whole and the call is not collective.
template <class T>
std::string parameters_sha256(const Network<T>& network, const ProcessGrid* grid = nullptr);

/// The content of an arena parallel to the parameters, by parameter, as whole arrays on every rank. Collective over grid.model().
template <class T>
std::map<std::string, std::vector<T>> whole_arrays(const ProcessGrid& grid, const Network<T>& network, Span<const T> arena);

}  // namespace trireme
