#include "train/resume_check.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "base/text.hpp"
#include "io/retry.hpp"

namespace trireme {

namespace {

constexpr const char* layer_key = "model.layer";

std::string shown(const std::string& value) { return value.empty() ? "(nothing)" : value; }

bool same_layer(const LayerSpec& a, const LayerSpec& b) { return a.kind == b.kind && a.name == b.name && a.from == b.from && a.options == b.options; }

/// Layers that differ, the longest beginnings and ends that are alike left out: an inserted layer is one change.
void compare_layers(const std::vector<LayerSpec>& before, const std::vector<LayerSpec>& after, std::vector<DeckChange>& changes) {
  std::size_t first = 0, end = 0;
  const std::size_t least = std::min(before.size(), after.size());
  while (first < least && same_layer(before[first], after[first])) ++first;
  while (end < least - first && same_layer(before[before.size() - 1 - end], after[after.size() - 1 - end])) ++end;
  const auto line = [](const std::vector<LayerSpec>& layers, std::size_t at, std::size_t last) {
    return at < last ? fmt::format("layer {}, {}", at + 1, layers[at].text) : std::string();
  };
  for (std::size_t at = first; at < std::max(before.size(), after.size()) - end; ++at)
    changes.push_back({layer_key, line(before, at, before.size() - end), line(after, at, after.size() - end)});
}

bool names(const std::string& list, const std::string& key) {
  const auto items = split(list, ',');
  return std::ranges::find(items, "all") != items.end() || std::ranges::find(items, key) != items.end();
}

void check_names(const Deck& deck) {
  for (const std::string& item : split(deck.text("checkpoint.allow_changes"), ',')) {
    const bool known = item.empty() || item == "all" || item == layer_key || std::ranges::find(deck_keys(), item, &KeySpec::name) != deck_keys().end();
    if (!known) throw usage_error("checkpoint.allow_changes: '{}' is no key of a deck. Expected keys as section.key, {} for layers, or all", item, layer_key);
  }
}

std::vector<std::string> texts(const std::vector<DeckChange>& changes, const std::function<bool(const DeckChange&)>& wanted) {
  std::vector<std::string> found;
  for (const DeckChange& change : changes)
    if (wanted(change)) found.push_back(change.text());
  return found;
}

}  // namespace

std::string DeckChange::text() const { return fmt::format("{}: {} -> {}", key, shown(before), shown(after)); }

std::vector<DeckChange> changes_between(const Deck& before, const Deck& after) {
  std::vector<DeckChange> changes;
  for (const KeySpec& key : deck_keys())
    if (before.text(key.name) != after.text(key.name)) changes.push_back({key.name, before.text(key.name), after.text(key.name)});
  compare_layers(before.layers(), after.layers(), changes);
  return changes;
}

ChangeEffect effect_of(const std::string& key) {
  using enum ChangeEffect;
  static const std::map<std::string, ChangeEffect, std::less<>> exceptions{
      {"run.seed", order},         {"run.stream", order},       {"data.train", none},      {"data.cache", none},       {"data.test_batch", none},
      {"data.batch", order},       {"data.shuffle", order},     {"data.chunk", order},     {"data.window", order},     {"data.scale", meaning},
      {"data.mean", meaning},      {"data.std", meaning},       {"data.features", meaning}, {"data.labels", meaning},  {"data.target", meaning},
      {"data.axes", meaning},      {"loss.label_smoothing", result}, {"optimizer.kind", meaning}, {"optimizer.shard", none}, {"train.epochs", length},
      {"train.steps", length},     {"train.accumulate", order}, {"train.ema", result},     {"train.precision", result}};
  if (const auto found = exceptions.find(key); found != exceptions.end()) return found->second;
  const std::string section = key.substr(0, key.find('.'));
  if (section == "model" || section == "loss") return meaning;
  return section == "data" || section == "optimizer" || section == "schedule" || section == "numerics" ? result : none;
}

Fingerprint fingerprint_of(const DataSet& data, const BatchStream::Options& options) {
  Sha256 sha;
  for (const ShardInfo& shard : data.shards()) {
    const std::string line = fmt::format("{}|{}|{}|{}|{}|{}|{}\n", std::filesystem::path(shard.path).filename().string(), shard.rows, shard.sample.text(),
                                         static_cast<int>(shard.feature_type), shard.has_labels, shard.label.text(), static_cast<int>(shard.label_type));
    sha.update(std::as_bytes(std::span(line.data(), line.size())));
  }
  const auto order = BatchStream::shuffle_order(data, options);
  const bool plain = order.whole || options.order != BatchStream::Order::shuffled;
  return {{"data_rows", data.size()},
          {"data_files", static_cast<std::int64_t>(data.shards().size())},
          {"data_digest", static_cast<std::int64_t>(std::stoull(sha.hex().substr(0, 15), nullptr, 16))},
          {"order_chunk", plain ? 0 : order.chunk},
          {"order_window", plain ? 0 : order.window}};
}

SavedRun saved_run(const Communicator& comm, const std::filesystem::path& file, IoThread* h5) {
  std::string deck, integers;
  comm.together([&] {
    if (comm.rank() != 0) return;
    const auto read = [&] {
      with_retries(usual_retries, [&] {
        const CheckpointReader reader(file);
        deck = reader.content().deck;
        integers = nlohmann::json(reader.content().integers).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      });
    };
    if (h5 == nullptr) return read();
    h5->run(read);
  });
  SavedRun saved{.file = file.string(), .deck = {}, .integers = {}};
  deck = comm.broadcast(deck);
  saved.integers = nlohmann::json::parse(comm.broadcast(integers)).get<std::map<std::string, std::int64_t>>();
  try {
    saved.deck.emplace(deck, "deck inside " + saved.file);
  } catch (const Error&) {  // a key that this version does not know
  }
  return saved;
}

void ResumeCheck::compare_data(const SavedRun& saved, const Fingerprint& now) {
  if (!saved.integers.contains("data_digest")) {
    notes.push_back(fmt::format("checkpoint '{}' says nothing of the data that it saw (an earlier version wrote it): whether the data and the order of its samples are "
                                "the same is not checked", saved.file));
    return;
  }
  const auto compare = [&](const char* key, const char* what) {
    const auto found = saved.integers.find(key);
    if (found == saved.integers.end() || found->second == now.at(key)) return false;
    data_.push_back(fmt::format("{}: {} -> {}", what, found->second, now.at(key)));
    return true;
  };
  const bool rows = compare("data_rows", "rows of data.train"), files = compare("data_files", "files of data.train");
  if (const auto found = saved.integers.find("data_digest"); found->second != now.at("data_digest") && !rows && !files)
    data_.push_back("data.train has as many files and rows as before, but their names, order, rows, shapes or types are others");
  compare("order_chunk", "rows shuffled as one block (data.chunk in force)");
  compare("order_window", "rows of a window (data.window in force)");
}

ResumeCheck::ResumeCheck(const SavedRun& saved, const Deck& deck, const Fingerprint& now, const Progress& progress, std::int64_t epoch_steps) {
  check_names(deck);
  if (saved.deck)
    changes = changes_between(*saved.deck, deck);
  else
    notes.push_back(fmt::format("the deck inside checkpoint '{}' cannot be read by this version: what changed since is not known", saved.file));
  compare_data(saved, now);

  const std::string& allowed = deck.text("checkpoint.allow_changes");
  std::vector<std::string> keys;
  const auto refused = texts(changes, [&](const DeckChange& change) {
    const bool refuses = effect_of(change.key) == ChangeEffect::meaning && !names(allowed, change.key);
    if (refuses && std::ranges::find(keys, change.key) == keys.end()) keys.push_back(change.key);
    return refuses;
  });
  if (!refused.empty())
    throw checkpoint_error("checkpoint '{}' was trained under another deck; under this one its numbers would mean something else: {}. Hint: go on with the deck as it was, set "
                           "run.output to another folder to start anew, or, if it is meant so, checkpoint.allow_changes = {}", saved.file, fmt::join(refused, "; "),
                           fmt::join(keys, ","));

  // Without shuffling, the seed and the blocks decide nothing.
  const bool shuffled = deck.boolean("data.shuffle") || !saved.deck || saved.deck->boolean("data.shuffle");
  moved_ = texts(changes, [&](const DeckChange& change) {
    const bool only_shuffled = change.key == "run.seed" || change.key == "run.stream" || change.key == "data.chunk" || change.key == "data.window";
    return effect_of(change.key) == ChangeEffect::order && (shuffled || !only_shuffled);
  });
  moved_.insert(moved_.end(), data_.begin(), data_.end());
  if (progress.epoch_steps != epoch_steps && moved_.empty()) moved_.push_back("samples, batch or accumulation");
  if (progress.epoch_steps != epoch_steps) moved_.push_back(fmt::format("the checkpoint counts epochs of {} steps; this run has {}", progress.epoch_steps, epoch_steps));
  for (const auto& text : data_) notes.push_back("changed since the checkpoint: " + text);
  if (moved_.empty() || progress.batch == 0) return;

  if (deck.text("checkpoint.resume_order") == "restart_epoch") {
    restarts_epoch = true;
    notes.push_back(fmt::format("epoch {} begins anew in the new order (checkpoint.resume_order = restart_epoch): samples that it has seen are seen again", progress.epoch + 1));
    return;
  }
  const std::int64_t accumulate = saved.deck ? saved.deck->integer("train.accumulate") : 1;
  throw checkpoint_error("checkpoint '{}' stands in the middle of epoch {} (after {} batch(es) of it), and what changed moves the order of the samples, so that some would be "
                         "seen twice in it and others never: {}. Hint: finish the epoch first with the deck and the data as they were (--train.steps={}, at which cosine and linear schedules then end, too), begin it anew with "
                         "checkpoint.resume_order = restart_epoch, or set run.output to another folder to start anew", saved.file, progress.epoch + 1, progress.batch,
                         fmt::join(moved_, "; "), progress.step + progress.epoch_steps - progress.batch / accumulate);
}

void ResumeCheck::require_unchanged_end(const SavedRun& saved) const {
  auto others = texts(changes, [](const DeckChange& change) {
    const ChangeEffect effect = effect_of(change.key);
    return effect != ChangeEffect::none && effect != ChangeEffect::length;
  });
  others.insert(others.end(), data_.begin(), data_.end());
  if (others.empty()) return;
  throw checkpoint_error("the run is finished: checkpoint '{}' stands at the deck's last step, so what changed since would change nothing: {}. Hint: raise train.epochs (or "
                         "train.steps) to train on, set run.output to another folder to start anew, or look at the model that is there with trireme evaluate",
                         saved.file, fmt::join(others, "; "));
}

}  // namespace trireme
