// trireme inspect PATH: one function for each kind of object that a path can name. All are collective; rank 0 prints.
//
// --json prints one object; its `kind` defines the other members. If something is damaged, `whole` is false, the exit code is not 0, and `problem` or
// `problems` describe the damage.
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
//     statistics {scale, mean [a channel], std [a channel]} with --statistics: the keys of [data] that normalize,
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
  bool full = false;                   // data sets: also read the features
  bool statistics = false;             // also print mean and standard deviation of each channel
  std::vector<std::string> overrides;  // section.key=value
};

/// A checkpoint. Returns code 4, with the names of the damaged arrays, if it is not intact.
int inspect_checkpoint(const Communicator& comm, const InspectRequest& request);
/// A run directory: its checkpoints and its progress. Returns code 4 if it has checkpoints but no intact one.
int inspect_run(const Communicator& comm, const InspectRequest& request);
/// Shards: a file, a folder, a glob or a list. Returns code 3 if there are problems.
int inspect_data(const Communicator& comm, const InspectRequest& request);
/// A deck: effective values, the network, and its memory.
int inspect_deck(const Communicator& comm, const InspectRequest& request);

/// Whether the content of a file identifies it as a checkpoint or, if the content is too damaged, its name does. On one rank.
bool is_checkpoint(const std::filesystem::path& file);
/// Whether the content of a file identifies it as output of trireme predict. On one rank.
bool is_prediction(const std::filesystem::path& file);

}  // namespace trireme
