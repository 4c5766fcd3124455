// What changed between a checkpoint and the start that goes on from it: every key and layer of the deck, the data, and the order of its samples; and what of
// that may be.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "data/batch_stream.hpp"
#include "io/io_thread.hpp"
#include "train/snapshot.hpp"

namespace trireme {

struct DeckChange {
  std::string key, before, after;  // "optimizer.lr"; of layers key is "model.layer" and the values say which
  std::string text() const;        // "optimizer.lr: 0.1 -> 0.01"
};

/// Every key whose value in force differs, and every layer.
std::vector<DeckChange> changes_between(const Deck& before, const Deck& after);

/// What a change of a key touches.
enum class ChangeEffect {
  none,        // where, how fast, how loud
  length,      // how long the run is
  result,      // how it is trained or measured from here on
  order,       // which samples come when
  meaning      // what the parameters, or the optimizer's state, stand for
};
ChangeEffect effect_of(const std::string& key);

using Fingerprint = std::map<std::string, std::int64_t>;
/// Of the data and of what decides the order of its samples beside the deck's keys, as a checkpoint keeps it among the integers of /progress: data_rows,
/// data_files, data_digest (names without folders, rows, shapes and types of all files, in their order), order_chunk and order_window (rows, as in force; 0:
/// all rows are shuffled as one, or none are).
Fingerprint fingerprint_of(const DataSet& data, const BatchStream::Options& options);

/// What a checkpoint says of the run that wrote it. Collective.
struct SavedRun {
  std::string file;
  std::optional<Deck> deck;  // nothing where this version cannot read it
  std::map<std::string, std::int64_t> integers;
};
SavedRun saved_run(const Communicator& comm, const std::filesystem::path& file, IoThread* h5);

/// What to make of it. Throws checkpoint errors with the remedy: where parameters would get another meaning that checkpoint.allow_changes does not name, and
/// where the order would move in the middle of an epoch and checkpoint.resume_order does not begin the epoch anew.
struct ResumeCheck {
  ResumeCheck(const SavedRun& saved, const Deck& deck, const Fingerprint& now, const Progress& progress, std::int64_t epoch_steps);

  std::vector<DeckChange> changes;
  std::vector<std::string> notes;  // sentences for the log
  bool restarts_epoch = false;

  /// Throws where a run that is finished was started under another deck or other data: there is nothing that could come of it.
  void require_unchanged_end(const SavedRun& saved) const;

 private:
  void compare_data(const SavedRun& saved, const Fingerprint& now);
  std::vector<std::string> data_;   // what changed in the data or its order
  std::vector<std::string> moved_;  // what moves the order of samples
};

}  // namespace trireme
