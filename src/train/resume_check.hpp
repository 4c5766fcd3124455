// Compares a run with the checkpoint that it resumes from: every key and layer of the deck, the data, and the order of samples. Decides which changes
// are allowed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "data/batch_stream.hpp"
#include "io/io_thread.hpp"
#include "train/snapshot.hpp"

namespace trireme {

struct DeckChange {
  std::string key, before, after;  // "optimizer.lr"; for layers the key is "model.layer" and the values name the layer
  std::string text() const;        // "optimizer.lr: 0.1 -> 0.01"
};

/// Every key whose effective value differs, and every layer that differs.
std::vector<DeckChange> changes_between(const Deck& before, const Deck& after);

/// What the change of a key affects.
enum class ChangeEffect {
  none,      // location, speed or output of the run
  length,    // length of the run
  exchange,  // exchanges between the tasks of a job; nothing in a run by itself
  result,    // training or metrics from this point on
  order,     // order of samples
  meaning    // meaning of the parameters or of the optimizer state
};
ChangeEffect effect_of(const std::string& key);

using Fingerprint = std::map<std::string, std::int64_t>;
/// Fingerprint of the data, and of all other settings that determine the order of samples besides deck keys. A checkpoint keeps it in the integers of
/// /progress:
///   data_rows, data_files          number of rows and files
///   data_digest                    names without folders, rows, shapes, types and stored checksums of all files, in order
///   data_feature_type              an ElementType, for evaluate and predict
///   data_moments                   the moments that rows were standardized with
///   data_decoding                  netCDF attributes of all files
///   data_sources                   the files behind virtual data sets and external links
///   order_chunk, order_window      effective values in rows; 0: all rows are shuffled together, or not at all
Fingerprint fingerprint_of(const DataSet& data, const BatchStream::Options& options);

/// Description of a run in its checkpoint. Collective.
struct SavedRun {
  std::string file;
  std::optional<Deck> deck;  // empty if this version cannot read it
  std::map<std::string, std::int64_t> integers;
};
SavedRun saved_run(const Communicator& comm, const std::filesystem::path& file, IoThread* h5);

/// State that the deck needs and the checkpoint lacks, because a change of the deck enabled it: a moving average, another optimizer.
struct AbsentState {
  std::set<std::string> groups;    // "ema/", "optimizer/momentum/": prefixes of array names
  bool of_optimizer = false;       // some belong to the optimizer
  std::vector<std::string> notes;  // messages for the log
};
/// Throws a checkpoint error that names the changed keys unless checkpoint.allow_changes names them.
AbsentState absent_state(const SavedRun& saved, const Deck& deck);

/// Result of the comparison. Throws checkpoint errors with the remedy if a change alters the meaning of the parameters and checkpoint.allow_changes
/// does not name it, or if the order of samples changes in the middle of an epoch and checkpoint.resume_order does not restart the epoch.
struct ResumeCheck {
  ResumeCheck(const SavedRun& saved, const Deck& deck, const Fingerprint& now, const Progress& progress, std::int64_t epoch_steps);

  std::vector<DeckChange> changes;
  std::vector<std::string> notes;  // messages for the log
  bool restarts_epoch = false;

  /// Throws if a finished run is started with another deck or other data, because these changes would have no effect. `task`: it is one of a job.
  void require_unchanged_end(const SavedRun& saved, bool task = false) const;

 private:
  void compare_data(const SavedRun& saved, const Fingerprint& now);
  std::vector<std::string> data_;   // changes of the data or its order
  std::vector<std::string> moved_;  // changes that alter the order of samples
};

}  // namespace trireme
