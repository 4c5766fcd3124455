// trireme inspect PATH: one function for each kind of thing that a path may name. All are collective; rank 0 speaks.
//
// With --json one object, whose `kind` says what else is in it. `whole` is false, and the exit code not 0, where
// something is broken; `problem` or `problems` then say what.
//
//   checkpoint: file, whole, step, epoch, batch, epoch_samples, epoch_loss, seed, parameters (how many),
//     parameters_sha256 (as training prints it; of whole ones), bytes, arrays [{name, shape, type, bytes, whole}],
//     damaged [names], deck, format_version
//   run: path, whole (a checkpoint is, or there is none yet), checkpoints [{file, step, whole, problem, damaged}], the
//     newest first; of the newest whole one checkpoint (its file), step, epoch, ..., parameters_sha256; last {event:
//     the last such line of metrics.jsonl}
//   data, predictions: path, whole, shards, rows, rows_least, rows_most, empty_shards, bytes, problems,
//     shards_with_checksums (values that differ from these are a problem: labels always, features with --full),
//     features {name, shape, type; with --full count, min, max, mean, std},
//     statistics {scale, mean [a channel], std [a channel]} with --statistics: the keys of [data] that normalise,
//     labels {name, shape, type, count, min, max, mean, std, histogram {value: rows}}, absent where there are none
//   deck: file, name, input, output, parameters, multiply_adds (forward, a sample), ranks, samples_a_rank,
//     bytes_a_rank {parameters_and_gradients, optimizer, activations, workspace, total}, network, deck
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace trireme {

struct InspectRequest {
  std::string path;
  bool json = false;
  bool full = false;                   // data sets: read the features, too
  bool statistics = false;             // and say the mean and deviation of each channel
  std::vector<std::string> overrides;  // section.key=value
};

/// A checkpoint. Code 4, with the names of the damaged arrays, when it is not whole.
int inspect_checkpoint(const Communicator& comm, const InspectRequest& request);
/// A run directory: its checkpoints and how far it came. Code 4 when it has checkpoints and none is whole.
int inspect_run(const Communicator& comm, const InspectRequest& request);
/// Shards: a file, a folder, a glob or a list. Code 3 when something is wrong with them.
int inspect_data(const Communicator& comm, const InspectRequest& request);
/// A deck: the values in force, the network, and what it needs.
int inspect_deck(const Communicator& comm, const InspectRequest& request);

/// Whether a file says of itself that it is a checkpoint, or, where it is too damaged to say, has the name of one. On
/// one rank.
bool is_checkpoint(const std::filesystem::path& file);
/// Whether a file says of itself that trireme predict wrote it. On one rank.
bool is_prediction(const std::filesystem::path& file);

}  // namespace trireme
